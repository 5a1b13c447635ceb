/**
 * Commands that are killed at random moments and started again until they are done; what they leave behind is
 * compared.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, watch, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { RandomStream } from '../../src/base/random.ts';
import { decodeImage, encodePng } from '../../src/platform/node.ts';
import { demoProducts, drawPart } from '../../src/synthetic/demo_products.ts';
import { verifyDigest } from '../../src/weights/digest.ts';
import { readSafetensors } from '../../src/weights/safetensors.ts';

export interface Scenario {
  readonly name: string;
  /** Puts into the folder what the command changes in place. */
  readonly prepare?: (out: string) => void;
  /** Arguments of the first start. */
  readonly first: (out: string) => readonly string[];
  /** Arguments of every later one. */
  readonly again: (out: string) => readonly string[];
}

export interface Row {
  readonly command: string;
  kills: number;
  /** Kills by what the command did. */
  readonly phases: Record<string, number>;
  /** Runs that were killed at least once and came to their end. */
  resumed: number;
  /** Of those, the ones whose files are those of the run that was left alone. */
  identical: number;
  readonly leftovers: string[];
  /** Files that were not whole after a kill. */
  readonly broken: string[];
  readonly differing: string[];
}

/** Draws a small product: good parts to learn from, and a test set with masks. */
export async function drawProduct(
  folder: string,
  product: number,
  train: number,
  test: number,
): Promise<void> {
  const write = async (path: string, defect: string | undefined, index: number) => {
    const { image, mask } = drawPart(
      demoProducts[product] as (typeof demoProducts)[number],
      defect,
      5,
      index,
    );
    mkdirSync(join(folder, path, '..'), { recursive: true });
    writeFileSync(join(folder, path), await encodePng(image));
    if (!mask) return;
    const truth = join(folder, path.replace(/^test/, 'ground_truth').replace('.png', '_mask.png'));
    mkdirSync(join(truth, '..'), { recursive: true });
    writeFileSync(truth, await encodePng(mask));
  };
  const [defect] = Object.keys((demoProducts[product] as (typeof demoProducts)[number]).defects);
  for (let i = 0; i < train; i++) await write(`train/good/${i}.png`, undefined, i);
  for (let i = 0; i < test; i++) {
    await write(`test/good/${i}.png`, undefined, train + i);
    await write(`test/${defect}/${i}.png`, defect, i);
  }
}

/** Every file below a folder, by its path from there. */
function filesIn(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();
}

const isTemporary = (name: string) => /\.(aand-)?tmp$/.test(name);
const isLock = (name: string) => /aand-lock/.test(name);
const isBackup = (name: string) => /\.backup-\d+(\.[^.]+)?$/.test(name);

/** Whether a file is whole; temporaries and locks are nobody's result. */
async function isWhole(path: string): Promise<boolean> {
  const bytes = readFileSync(path);
  try {
    if (/\.(safetensors|checkpoint)$/.test(path)) {
      const { metadata } = readSafetensors(bytes, path);
      return await verifyDigest(bytes, metadata, path);
    }
    if (path.endsWith('.json')) return JSON.parse(bytes.toString()) !== undefined;
    if (path.endsWith('.png')) return (await decodeImage(bytes, path)).width > 0;
    if (path.endsWith('.html')) return bytes.toString().trimEnd().endsWith('</html>');
    return bytes.length > 0 && bytes.toString().endsWith('\n');
  } catch {
    return false;
  }
}

async function brokenFiles(folder: string): Promise<string[]> {
  const broken: string[] = [];
  // Hidden files are the program's own book-keeping.
  for (const name of filesIn(folder))
    if (
      !isTemporary(name) &&
      !isLock(name) &&
      !/(^|\/)\.[^/]*$/.test(name) &&
      !(await isWhole(join(folder, name)))
    )
      broken.push(name);
  return broken;
}

/** What a file says, without times: those differ from run to run. */
function content(path: string): string {
  const bytes = readFileSync(path);
  const hash = (data: Uint8Array | string) => createHash('sha256').update(data).digest('hex');
  if (path.endsWith('.json')) {
    const without = (key: string, value: unknown) =>
      /^(seconds|trainSeconds|milliseconds)$/.test(key) ? 0 : value;
    return JSON.stringify(JSON.parse(bytes.toString()), without);
  }
  if (path.endsWith('scores.csv')) {
    const rows = bytes
      .toString()
      .trim()
      .split('\n')
      .map((line) => line.split(','));
    const time = rows[0]?.indexOf('milliseconds') ?? -1;
    return rows.map((row) => row.filter((_, i) => i !== time).join(',')).join('\n');
  }
  // Pages and tables of a benchmark show times; their numbers are in the JSON files.
  if (/\.html$|results\.(csv|md)$|(^|\/)\.[^/]*$/.test(path)) return '';
  return hash(bytes);
}

/** Names of files that differ from those of the reference. */
function differingFiles(reference: string, folder: string): string[] {
  return filesIn(reference).filter(
    (name) =>
      !existsSync(join(folder, name)) || content(join(reference, name)) !== content(join(folder, name)),
  );
}

function leftovers(reference: string, folder: string): string[] {
  const known = new Set(filesIn(reference));
  return filesIn(folder).filter(
    (name) => isTemporary(name) || isLock(name) || (!known.has(name) && !isBackup(name)),
  );
}

/** What the command does, by the last line of progress that it has finished. */
function phaseOf(said: string): string {
  const [, label] = [...said.matchAll(/^(.+?): \d+\/\d+ /gm)].at(-1) ?? [];
  if (label === undefined || /^(reading|drawing)/.test(label)) return 'loading';
  if (/^distill/.test(label)) return 'distilling';
  const [, stage, epoch, epochs] = /^stage (I+) (\d+)\/(\d+)$/.exec(label) ?? [];
  if (label === 'loading' || (stage === 'I' && epoch !== epochs)) return 'stage I';
  if (stage === 'I' || (stage === 'II' && epoch !== epochs)) return 'stage II';
  return 'testing';
}

interface Ended {
  readonly killed: boolean;
  readonly code: number | null;
  readonly said: string;
  readonly milliseconds: number;
  /** A file was being written when it was killed. */
  readonly writing: boolean;
}

/** When a run is killed: after a time, or some moments after a file below the folder is begun. */
type Moment = { readonly after: number } | { readonly write: number; readonly delay: number };

function run(cli: string, args: readonly string[], out: string, moment?: Moment): Promise<Ended> {
  return new Promise((done) => {
    const started = performance.now();
    const child: ChildProcess = spawn('node', [cli, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    let writing = false;
    let killed = false;
    const kill = () => {
      if (killed || child.exitCode !== null) return;
      killed = child.kill('SIGKILL');
      writing = filesIn(out).some(isTemporary);
    };
    child.stderr?.on('data', (data) => {
      said += data;
    });
    let timer = moment && 'after' in moment ? setTimeout(kill, moment.after) : undefined;
    let begun = 0;
    const watcher =
      moment && 'write' in moment
        ? watch(out, { recursive: true }, (event, name) => {
            if (event !== 'rename' || !name || !isTemporary(name) || ++begun !== moment.write) return;
            timer = setTimeout(kill, moment.delay);
          })
        : undefined;
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      watcher?.close();
      const milliseconds = performance.now() - started;
      done({ killed: signal === 'SIGKILL', code, said, milliseconds, writing });
    });
  });
}

/**
 * Kills a command `kills` times, some times per run, lets each run come to its end, and compares it with one
 * that was left alone.
 *
 * @param folder for the results
 */
export async function killAndCompare(
  cli: string,
  folder: string,
  scenario: Scenario,
  options: { readonly kills: number; readonly perRun: number; readonly seed: number },
): Promise<Row> {
  const random = new RandomStream(options.seed, 'kills', scenario.name);
  const begin = (name: string) => {
    const out = join(folder, name);
    mkdirSync(out, { recursive: true });
    scenario.prepare?.(out);
    return out;
  };
  const reference = begin(`${scenario.name}-alone`);
  const whole = await run(cli, scenario.first(reference), reference);
  if (whole.code !== 0) throw new Error(`${scenario.name} failed: ${whole.said}`);
  const row: Row = {
    command: scenario.name,
    kills: 0,
    phases: {},
    resumed: 0,
    identical: 0,
    leftovers: [],
    broken: [],
    differing: [],
  };
  for (let number = 1; row.kills < options.kills; number++) {
    if (number > 3 * options.kills) throw new Error(`${scenario.name} ends before it can be killed`);
    const out = begin(`${scenario.name}-${number}`);
    let started = 0;
    let kills = 0;
    const start = (moment?: Moment) =>
      run(cli, (started++ ? scenario.again : scenario.first)(out), out, moment);
    let ended: Ended | undefined;
    while (kills < options.perRun && row.kills < options.kills) {
      const near = random.next() < 0.5;
      ended = await start(
        near
          ? { write: random.integer(1, 4), delay: random.uniform(0, 60) }
          : { after: random.uniform(0.1, 1) * whole.milliseconds },
      );
      if (!ended.killed) break;
      kills++;
      row.kills++;
      const phase = ended.writing ? 'writing' : phaseOf(ended.said);
      row.phases[phase] = (row.phases[phase] ?? 0) + 1;
      for (const name of await brokenFiles(out)) row.broken.push(`${number}/${name}`);
    }
    if (!kills) continue;
    if (!ended || ended.killed) ended = await start();
    if (ended.code !== 0)
      throw new Error(`${scenario.name}, run ${number}, after ${kills} kills: ${ended.said}`);
    row.resumed++;
    const differing = differingFiles(reference, out);
    if (!differing.length) row.identical++;
    row.differing.push(...differing.map((name) => `${number}/${name}`));
    row.leftovers.push(...leftovers(reference, out).map((name) => `${number}/${name}`));
    for (const name of await brokenFiles(out)) row.broken.push(`${number}/${name}`);
  }
  return row;
}

const phaseNames = ['loading', 'stage I', 'stage II', 'distilling', 'writing', 'testing'];

/** The rows as a table. */
export function killTable(rows: readonly Row[]): string {
  const head = ['command', 'kills', ...phaseNames, 'resumed', 'identical', 'leftovers', 'half written'];
  const lines = rows.map((row) => [
    row.command,
    row.kills,
    ...phaseNames.map((phase) => row.phases[phase] ?? 0),
    row.resumed,
    row.identical,
    row.leftovers.length,
    row.broken.length,
  ]);
  const widths = head.map((name, i) => Math.max(name.length, ...lines.map((line) => String(line[i]).length)));
  return [head, ...lines]
    .map((line) =>
      line
        .map((cell, i) => (i ? String(cell).padStart(widths[i] ?? 0) : String(cell).padEnd(widths[0] ?? 0)))
        .join('  '),
    )
    .join('\n');
}
