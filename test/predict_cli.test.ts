/** `aand predict`: a table, an exit code for anomalies, boxes, no pictures unless asked for, a watched folder. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'csv-parse/sync';
import { beforeAll, describe, expect, test } from 'vitest';
import { Detector } from '../src/detector/detector.ts';
import { Engine } from '../src/engine/runtime/engine.ts';
import { encodePng } from '../src/index.ts';
import { useCommand, useProjectFolder } from './support/command.ts';
import { picture } from './support/pictures.ts';
import { servedModelFile } from './support/served_models.ts';

const command = useCommand();
const folder = useProjectFolder();
const at = (name: string) => join(folder, name);
let good: Uint8Array;
let bad: Uint8Array;

interface Row {
  readonly path: string;
  readonly pred_label: string | null;
  readonly marked_area: number | null;
  readonly regions: readonly { x: number; y: number; width: number; height: number }[];
  readonly width: number;
  readonly height: number;
  readonly picture: string | null;
}

beforeAll(async () => {
  const engine = await Engine.open();
  const images = [picture(1, 60, 40), picture(2, 60, 40)];
  const plain = await servedModelFile(engine, null);
  const detector = await Detector.open(engine, plain);
  const scores = (await detector.predict(images)).map(({ score }) => score) as [number, number];
  const between = (scores[0] + scores[1]) / 2;
  writeFileSync(at('model.safetensors'), await servedModelFile(engine, between));
  writeFileSync(at('plain.safetensors'), plain);
  await engine.close();
  const encoded = await Promise.all(images.map((image) => encodePng(image)));
  [good, bad] = (scores[0] < scores[1] ? encoded : encoded.reverse()) as [Uint8Array, Uint8Array];
  for (const name of ['good', 'mixed']) mkdirSync(at(name));
  for (const name of ['good/a.png', 'good/b.png', 'mixed/a.png']) writeFileSync(at(name), good);
  writeFileSync(at('mixed/b.png'), bad);
});

const model = () => at('model.safetensors');

describe('without --out', () => {
  test('verdicts are printed, and nothing is written', async () => {
    const before = readdirSync(folder);
    const { code, stdout, stderr } = await command.run(['predict', model(), at('mixed')]);
    expect({ code, stderr }).toMatchObject({ code: 0 });
    expect(stdout).toMatch(/^good +0\.\d{3} \(raw .*\) {2}.*a\.png\nanomalous 0\.\d{3} \(raw .*b\.png\n$/);
    expect(stderr).toMatch(/next: aand predict .* --out pictures/);
    expect(readdirSync(folder)).toEqual(before);
  });

  test('JSON has boxes and areas in pixels of the photograph, and no picture', async () => {
    const { stdout } = await command.run(['predict', model(), at('mixed'), '--json']);
    const [first, second] = JSON.parse(stdout) as [Row, Row];
    expect(first).toMatchObject({ pred_label: 'good', marked_area: 0, regions: [], picture: null });
    expect(second).toMatchObject({ pred_label: 'anomalous', width: 60, height: 40, picture: null });
    expect(second.regions.length).toBeGreaterThan(0);
    expect(second.marked_area).toBeGreaterThan(0);
    for (const { x, y, width, height } of second.regions) {
      expect(x + width).toBeLessThanOrEqual(60);
      expect(y + height).toBeLessThanOrEqual(40);
    }
  });
});

describe('--fail-on-anomaly', () => {
  test('gives 3 where a photograph is anomalous, 0 where none is', async () => {
    const failing = await command.run(['predict', model(), at('mixed'), '--fail-on-anomaly']);
    expect(failing.code).toBe(3);
    expect(failing.stderr).toContain('aand: 1 of 2 photographs are anomalous');
    expect(failing.stdout).toContain('anomalous');
    expect((await command.run(['predict', model(), at('good'), '--fail-on-anomaly'])).code).toBe(0);
  });

  test('an unreadable photograph is a failure, and so is a model without a threshold', async () => {
    mkdirSync(at('broken'));
    writeFileSync(at('broken/a.png'), bad);
    writeFileSync(at('broken/b.png'), 'no image');
    const broken = await command.run(['predict', model(), at('broken'), '--fail-on-anomaly']);
    expect(broken.code).toBe(1);
    expect(broken.stdout).toContain('anomalous');
    const plain = await command.run(['predict', at('plain.safetensors'), at('good'), '--fail-on-anomaly']);
    expect(plain.code).toBe(1);
    expect(plain.stderr).toMatch(/has no threshold, so nothing is anomalous/);
  });
});

test('--csv writes a table as --json prints it; a file that is there is kept', async () => {
  const csv = at('results.csv');
  const args = ['predict', model(), at('mixed'), '--out', at('pictures'), '--csv', csv, '--json'];
  const { code, stdout } = await command.run(args);
  expect(code).toBe(0);
  const rows = JSON.parse(stdout) as Row[];
  const table = parse(readFileSync(csv), { columns: true }) as Record<string, string>[];
  expect(table.map(({ path }) => path)).toEqual(rows.map(({ path }) => path));
  for (const [i, row] of rows.entries()) {
    const { x, y, width, height } = row.regions[0] ?? {};
    expect(table[i]).toMatchObject({
      pred_label: row.pred_label,
      marked_area: String(row.marked_area),
      regions: String(row.regions.length),
      largest_x_y_w_h: row.regions.length ? `${x} ${y} ${width} ${height}` : '',
      width: '60',
      height: '40',
      picture: row.picture,
    });
    expect(existsSync(row.picture ?? '')).toBe(true);
  }
  const text = readFileSync(csv, 'utf8');
  const refused = await command.run(args);
  expect(refused.code).toBe(1);
  expect(refused.stderr).toMatch(/results\.csv exists already/);
  expect((await command.run([...args, '--force'])).code).toBe(0);
  expect(readFileSync(at('results.backup-1.csv'), 'utf8')).toBe(text);
});

test('--watch goes on with what comes until Ctrl-C, a line of JSON each', async () => {
  const watched = at('line');
  mkdirSync(watched);
  writeFileSync(join(watched, 'a.png'), good);
  const { child, ended, heard } = command.start([
    ...['predict', model(), '--watch', watched, '--watch-settle', '0.1', '--json', '--csv', at('line.csv')],
    ...['--out', join(watched, 'pictures'), '--fail-on-anomaly'],
  ]);
  await heard(/"path":".*a\.png"/);
  writeFileSync(join(watched, 'b.png'), bad);
  writeFileSync(join(watched, 'bad.png'), 'no image');
  await heard(/"path":".*b\.png"/);
  await heard(/cannot be read, left out: .*bad\.png/);
  mkdirSync(join(watched, 'sub'));
  writeFileSync(join(watched, 'sub/a.png'), good);
  await heard(/"path":".*sub\/a\.png"/);
  child.kill('SIGINT');
  const { code, stdout } = await ended;
  // One file could not be read.
  expect(code).toBe(1);
  const rows = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Row);
  expect(rows.map(({ pred_label }) => pred_label)).toEqual(['good', 'anomalous', 'good']);
  expect(rows.map((row) => row.picture?.slice(watched.length + 1))).toEqual([
    ...['pictures/a.png', 'pictures/b.png', 'pictures/sub/a.png'],
  ]);
  for (const row of rows) expect(existsSync(row.picture ?? '')).toBe(true);
  expect(readFileSync(at('line.csv'), 'utf8').trim().split('\n')).toHaveLength(4);
});

test('--watch ends with 3 after an anomaly, and with 0 without', async () => {
  for (const [name, image, expected] of [
    ['bad-line', bad, 3],
    ['good-line', good, 0],
  ] as const) {
    mkdirSync(at(name));
    writeFileSync(join(at(name), 'a.png'), image);
    const { child, ended, heard } = command.start([
      ...['predict', model(), '--watch', at(name), '--watch-settle', '0.1', '--fail-on-anomaly'],
    ]);
    await heard(/a\.png/);
    child.kill('SIGINT');
    expect((await ended).code).toBe(expected);
  }
});

test('what does not fit is said', async () => {
  const nothing = await command.run(['predict', model()]);
  expect([nothing.code, nothing.stderr]).toEqual([2, expect.stringMatching(/give image files or folders/)]);
  const alone = await command.run(['predict', model(), at('good'), '--watch-poll', '1']);
  expect([alone.code, alone.stderr]).toEqual([2, expect.stringMatching(/belongs to --watch/)]);
  const missing = await command.run(['predict', model(), '--watch', at('none')]);
  expect([missing.code, missing.stderr]).toEqual([1, expect.stringMatching(/no such folder to watch/)]);
});
