/** What native code prints: Dawn's warnings that mean nothing are hidden, and everything else comes through. */
import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { meaningful } from '../src/platform/node/native_messages.ts';
import { bundle } from './support/bundle.ts';
import { useProjectFolder } from './support/command.ts';

const warning = (name: string) =>
  `Warning: maxDynamic${name}BuffersPerPipelineLayout artificially reduced from 1000000 to 16 to fit ` +
  'dynamic offset allocation limit.\n';

test('of a text the warnings that mean nothing are left out, and nothing else', () => {
  const rest = 'MESA: error: no device\nWarning: another one\n';
  expect(meaningful(`${warning('Uniform')}${rest}${warning('Storage')}`)).toBe(rest);
  expect(meaningful(warning('Uniform').trimEnd())).toBe('');
  expect(meaningful('')).toBe('');
});

const folder = useProjectFolder();
const script = join(folder, 'child.mjs');
const log = join(folder, 'log');

beforeAll(async () => {
  await bundle('src/platform/node/native_messages.ts', join(folder, 'messages.mjs'), 'node');
  writeFileSync(
    script,
    `import { writeSync } from 'node:fs';
    import { withoutChatter } from './messages.mjs';
    console.error('before');
    const text = ${JSON.stringify(`${warning('Uniform')}MESA: note\n${warning('Storage')}`)};
    const result = withoutChatter(() => { writeSync(2, text); return 5; });
    try {
      withoutChatter(() => { writeSync(2, 'last words\\n'); throw new Error('it failed'); });
    } catch (error) {
      console.error(error.message);
    }
    console.error(\`after \${result}\`);`,
  );
});

const run = (shell: string) =>
  execFileSync('sh', ['-c', shell, process.execPath, script, log], { encoding: 'utf8' }).replaceAll('\r', '');
const clean = 'before\nMESA: note\nlast words\nit failed\nafter 5\n';

test.skipIf(process.platform !== 'linux')('on a terminal, a pipe, and at the end of a file', () => {
  expect(run('"$0" "$1" 2>&1 | cat')).toBe(clean);
  expect(run('"$0" "$1" 2>>"$2"; "$0" "$1" 2>>"$2"; cat "$2"')).toBe(`${clean}${clean}`);
  expect(run('script -qec "\\"$0\\" \\"$1\\"" /dev/null')).toBe(clean);
});

test('a file that others may write too is left alone: nothing in it is lost', () => {
  rmSync(log, { force: true });
  run('("$0" "$1"; echo last) 2>"$2" 1>&2; true');
  const text = readFileSync(log, 'utf8');
  expect(text).toContain(warning('Uniform'));
  expect(text.replaceAll(warning('Uniform'), '').replaceAll(warning('Storage'), '')).toBe(`${clean}last\n`);
});
