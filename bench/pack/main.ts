/**
 * The one command of the pack: `./run [--quick] [--allow-software] [--minutes N] [--out FOLDER]
 * [--parts A,B]`. Every part is a process of its own; what they keep becomes one JSON file and one page.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { provenance } from '../../src/cli/provenance.ts';
import { adapterPart } from './adapter_part.ts';
import { correctnessPart } from './correctness_part.ts';
import { detectorsPart } from './detectors_part.ts';
import { kernelsPart } from './kernels_part.ts';
import { type PartResult, packPage } from './page.ts';
import { type Part, PartContext, readRows, type Settings } from './part.ts';
import { peersPart } from './peers_part.ts';
import { trainingPart } from './training_part.ts';
import { tunePart } from './tune_part.ts';

const parts: readonly Part[] = [
  adapterPart,
  correctnessPart,
  tunePart,
  kernelsPart,
  detectorsPart,
  trainingPart,
  peersPart,
];

const usage = `./run [--quick] [--allow-software] [--minutes N] [--out FOLDER] [--parts A,B]
  --quick           small sizes and few cases: a rehearsal
  --allow-software  go on where the adapter is a software driver, not a GPU
  --minutes N       at most this long (8; 5 with --quick)
  --out FOLDER      where results go (results beside ./run)
  --parts A,B       only these, and adapter: ${parts.map(({ name }) => name).join(', ')}`;

function refuse(message: string): never {
  console.error(`error: ${message}\n${usage}`);
  process.exit(2);
}

function readOptions() {
  try {
    return parseArgs({
      options: {
        quick: { type: 'boolean', default: false },
        'allow-software': { type: 'boolean', default: false },
        minutes: { type: 'string' },
        out: { type: 'string' },
        parts: { type: 'string' },
        // Of the processes of parts.
        part: { type: 'string' },
        seconds: { type: 'string', default: '0' },
        folder: { type: 'string', default: '' },
      },
    }).values;
  } catch (error) {
    return refuse((error as Error).message);
  }
}

const script = fileURLToPath(import.meta.url);
/** Where the pack was unpacked from: it holds the goldens and takes the results. */
const packFolder = process.env.AAND_PACK ?? dirname(script);
const options = readOptions();

async function runPart(part: Part, settings: Settings, seconds: number): Promise<void> {
  await part.run(new PartContext(settings, part.name, seconds));
}

/** Seconds that a process has beyond its budget to end by itself, before it is ended. */
const grace = 8;

/** Runs a part in a process of its own. */
async function startPart(part: Part, settings: Settings, seconds: number): Promise<PartResult> {
  const started = performance.now();
  const args = ['--part', part.name, '--seconds', String(seconds), '--folder', settings.folder];
  if (settings.quick) args.push('--quick');
  if (settings.allowSoftware) args.push('--allow-software');
  const child = spawn(process.execPath, [script, ...args], { stdio: ['ignore', 'inherit', 'pipe'] });
  let words = '';
  child.stderr.on('data', (data: Buffer) => {
    // Dawn warns of limits of its own at every start.
    words = (words + data.toString()).replace(/^Warning: max.*\n/gm, '').slice(-3000);
  });
  let late = false;
  const timer = setTimeout(
    () => {
      late = true;
      child.kill('SIGKILL');
    },
    1000 * (seconds + grace),
  );
  const end = await new Promise<string>((done) => {
    child.on('error', (error) => done(error.message));
    child.on('close', (code, signal) => done(code === 0 ? '' : `ended with ${signal ?? `code ${code}`}`));
  });
  clearTimeout(timer);
  const rows = readRows(settings.folder, part.name);
  const error = late ? 'stopped: it took longer than its time' : end && `${end}: ${words.trim()}`;
  return {
    name: part.name,
    title: part.title,
    about: part.about,
    seconds: (performance.now() - started) / 1000,
    passed: !error && rows.length > 0 && rows.every(({ passed }) => passed !== false),
    rows,
    ...(error && { error }),
  };
}

function packedCommit(): string {
  const { commit } = JSON.parse(readFileSync(join(packFolder, 'package.json'), 'utf8')) as {
    commit?: string;
  };
  return commit ?? 'unknown';
}

function print({ name, passed, seconds, rows, error }: PartResult): void {
  const failed = rows.filter((row) => row.passed === false).length;
  const notRun = rows.filter((row) => row.notRun).length;
  console.log(
    `${passed ? 'ok    ' : 'FAILED'} ${name}: ${rows.length} rows, ${failed} failed, ${notRun} not run, ` +
      `${seconds.toFixed(1)} s${error ? `\n${error}` : ''}\n`,
  );
}

async function runAll(): Promise<number> {
  const minutes = Number(options.minutes ?? (options.quick ? 5 : 8));
  if (!(minutes > 0)) refuse(`--minutes wants a number above 0, not '${options.minutes}'`);
  const wanted = options.parts?.split(',');
  for (const name of wanted ?? [])
    if (!parts.some((part) => part.name === name)) refuse(`there is no part '${name}'`);
  const chosen = parts.filter(({ name }) => !wanted || name === 'adapter' || wanted.includes(name));
  const out = resolve(options.out ?? join(packFolder, 'results'));
  const settings: Settings = {
    quick: options.quick,
    allowSoftware: options['allow-software'],
    data: join(packFolder, 'data'),
    folder: join(out, 'parts'),
  };
  rmSync(settings.folder, { recursive: true, force: true });
  mkdirSync(settings.folder, { recursive: true });
  const started = performance.now();
  const command = `./run ${process.argv.slice(2).join(' ')}`;
  // Each part may take what the parts before it left over; the last seconds are for the page.
  const scale = (60 * minutes - 10) / parts.reduce((sum, { seconds }) => sum + seconds, 0);
  let due = 0;
  const results: PartResult[] = [];
  for (const part of chosen) {
    due += scale * part.seconds;
    const left = due - (performance.now() - started) / 1000 - grace;
    console.log(`${part.title} (${part.name}), up to ${left.toFixed(0)} s`);
    const result = await startPart(part, settings, Math.max(1, left));
    print(result);
    results.push(result);
    if (part === adapterPart && result.error) return 1;
  }
  const driver = readRows(settings.folder, 'adapter').find(({ name }) => name === 'driver')?.figures.value;
  const record = provenance(command, String(driver ?? 'unknown'), packedCommit());
  const seconds = (performance.now() - started) / 1000;
  const report = { record, seconds, settings: { quick: settings.quick }, parts: results };
  writeFileSync(join(out, 'gpu.json'), `${JSON.stringify(report, null, 1)}\n`);
  writeFileSync(join(out, 'gpu.html'), await packPage(report));
  const failed = results.filter(({ passed }) => !passed);
  const notRun = results.flatMap(({ rows }) => rows.filter((row) => row.notRun)).length;
  if (notRun) console.log(`${notRun} rows were not run, for the time was up: --minutes N gives more`);
  console.log(`${seconds.toFixed(0)} s in all; written: ${join(out, 'gpu.json')}, ${join(out, 'gpu.html')}`);
  console.log(
    failed.length
      ? `failed: ${failed.map(({ name }) => name).join(', ')}`
      : 'everything that was checked passed',
  );
  return failed.length ? 1 : 0;
}

if (options.part) {
  const part = parts.find(({ name }) => name === options.part);
  if (!part) refuse(`there is no part '${options.part}'`);
  const settings: Settings = {
    quick: options.quick,
    allowSoftware: options['allow-software'],
    data: join(packFolder, 'data'),
    folder: options.folder,
  };
  try {
    await runPart(part, settings, Number(options.seconds));
  } catch (error) {
    console.error((error as Error).message);
    process.exitCode = 1;
  }
} else {
  process.exitCode = await runAll();
}
