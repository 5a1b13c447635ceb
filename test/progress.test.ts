/** How commands speak: progress that fits its terminal, one line per stage when done, colours, the version. */
import { readFileSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { CommanderError } from 'commander';
import { describe, expect, test } from 'vitest';
import { commandLine } from '../src/cli/program.ts';
import { duration, fitLine, ProgressReporter, type Shown } from '../src/cli/progress.ts';
import { hasColours, quoted } from '../src/cli/style.ts';

const shown: Shown = {
  key: 'stage II',
  label: 'stage II 12/120',
  value: 40,
  total: 160,
  share: 0.25,
  remaining: 754,
  details: ['12.3 images/s', 'student 0.1234', 'adaptation 0.5678'],
};

describe('a line of progress', () => {
  test('fits every width; the remaining time is never cut off', () => {
    for (let columns = 42; columns <= 200; columns++) {
      const line = fitLine(shown, columns);
      expect(line.length).toBeLessThan(columns);
      expect(line).toContain('stage II 12/120');
      expect(line).toContain('40/160');
      expect(line).toContain('12 min 34 s left');
    }
  });

  test('has a bar and details where there is room, what matters most first', () => {
    expect(fitLine(shown, 42)).toBe('stage II 12/120 40/160  12 min 34 s left');
    expect(fitLine(shown, 60)).toBe('stage II 12/120 [████░░░░░░░░░░░] 40/160  12 min 34 s left');
    expect(fitLine(shown, 80)).toMatch(
      /^stage II 12\/120 \[█+░+\] 40\/160 {2}12 min 34 s left {2}12\.3 images\/s$/,
    );
    const wide = fitLine(shown, 200);
    expect(wide).toMatch(/left {2}12\.3 images\/s {2}student 0\.1234 {2}adaptation 0\.5678$/);
    expect(wide).toContain(`[${'█'.repeat(10)}${'░'.repeat(30)}]`);
  });

  test('a share beyond its ends stays within the bar', () => {
    expect(fitLine({ ...shown, share: 1.5 }, 60)).toContain(`[${'█'.repeat(15)}]`);
    expect(fitLine({ ...shown, share: Number.NaN, remaining: Number.NaN }, 60)).toContain('? left');
  });

  test('durations', () => {
    expect([0.4, 59.4, 60, 3599, 3600, 7384, -5, Number.POSITIVE_INFINITY].map(duration)).toEqual([
      ...['0 s', '59 s', '1 min 0 s', '59 min 59 s', '1 h 0 min', '2 h 3 min', '0 s', '?'],
    ]);
  });
});

describe('progress', () => {
  function record(isTTY: boolean, columns = 60) {
    let text = '';
    const stream = {
      isTTY,
      columns,
      write(more: string | Uint8Array) {
        text += more;
        return true;
      },
    };
    return { reporter: new ProgressReporter(stream), text: () => text };
  }

  test('on a pipe says when a stage begins and when it is done, in a line each', () => {
    const { reporter, text } = record(false);
    const losses = { student: 0.5 };
    for (let epoch = 0; epoch < 50; epoch++)
      for (const images of [8, 16])
        reporter.training({
          ...{ stage: 'stage I', epoch, epochs: 50, images, total: 16, losses, imagesPerSecond: 4 },
          remaining: 12,
        });
    const loading = reporter.counting('loading');
    for (let i = 1; i <= 100; i++) loading(i, 100);
    reporter.stop();
    reporter.stop();
    expect(
      text()
        .replace(/took \d+ s/g, 'took T')
        .replace(/\d+ s left/g, 'T left')
        .split('\n'),
    ).toEqual([
      'stage I 1/50: 8/16  4.0 images/s  student 0.5000  T left',
      'stage I 50/50: 16/16  4.0 images/s  student 0.5000  took T',
      'loading: 1/100  T left',
      'loading: 100/100  took T',
      '',
    ]);
  });

  test('names what a part counts where these are no images', () => {
    const { reporter, text } = record(false);
    reporter.training({
      ...{ stage: 'coreset', epoch: 0, epochs: 1, images: 1, unit: 'patches', total: 9, losses: {} },
      ...{ imagesPerSecond: 40, remaining: 1 },
    });
    expect(text()).toMatch(/^coreset 1\/1: 1\/9 {2}40\.0 patches\/s {2}/);
  });

  test('a part that begins anew under its name has lines of its own', () => {
    const { reporter, text } = record(false);
    for (let round = 0; round < 2; round++) {
      const reading = reporter.counting('reading');
      for (const done of [0.5, 1, 2]) reading(done, 2);
    }
    reporter.stop();
    expect(text().replace(/\d+ s/g, 'T')).toBe('reading: 0/2  T left\nreading: 2/2  took T\n'.repeat(2));
  });

  test('on a terminal draws one line over itself, and leaves one per stage', async () => {
    const { reporter, text } = record(true);
    const loading = reporter.counting('loading');
    for (let i = 1; i <= 4; i++) {
      loading(i, 4);
      await wait(60);
    }
    const more = reporter.counting('drawing');
    more(1, 10);
    reporter.stop();
    // What a terminal shows: of each line, what was drawn last.
    const drawn = text()
      .split('\n')
      .map((line) => line.split('\x1b[1G'));
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the terminal's own codes are looked at
    const plain = (part: string) => part.replace(/\x1b(?:\[\??[\d;]*[a-zA-Z]|[78])/g, '');
    const lines = drawn.map((parts) => plain(parts.at(-1) ?? ''));
    expect(lines).toEqual([
      'loading: 4/4  took 0 s',
      expect.stringMatching(/drawing: 1\/10 {2}stopped after 0 s/),
      '',
    ]);
    for (const part of drawn.flat()) expect(plain(part)).toMatch(/^.{0,59}$/);
  });
});

test('colours: NO_COLOR first, then FORCE_COLOR, else whether it is a terminal that has them', () => {
  const terminal = { isTTY: true };
  const pipe = {};
  expect(hasColours(terminal, {})).toBe(true);
  expect(hasColours(pipe, {})).toBe(false);
  expect(hasColours(pipe, { CI: 'true' })).toBe(false);
  expect(hasColours(terminal, { TERM: 'dumb' })).toBe(false);
  expect(hasColours(terminal, { NO_COLOR: '1' })).toBe(false);
  expect(hasColours(terminal, { NO_COLOR: '' })).toBe(true);
  expect(hasColours(pipe, { FORCE_COLOR: '1' })).toBe(true);
  expect(hasColours(terminal, { FORCE_COLOR: '0' })).toBe(false);
  expect(hasColours(pipe, { FORCE_COLOR: '1', NO_COLOR: '1' })).toBe(false);
});

test('arguments in hints are as a shell takes them', () => {
  expect(quoted('a/b-c.safetensors')).toBe('a/b-c.safetensors');
  expect(quoted("my part's")).toBe("'my part'\\''s'");
});

test('--version prints that of the package', async () => {
  let said = '';
  const program = commandLine().configureOutput({ writeOut: (text) => (said += text) });
  const error = await program.parseAsync(['node', 'aand', '--version']).catch((caught) => caught);
  expect(error).toBeInstanceOf(CommanderError);
  expect(error.exitCode).toBe(0);
  const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
  expect(said).toBe(`${version}\n`);
});
