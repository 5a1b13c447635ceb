/** Every figure of the documents, made from the records of bench/results. */

import { join } from 'node:path';
import type { Provenance } from '../../src/bench/provenance.ts';
import { type BenchReport, fastestCopy } from '../../src/bench/report.ts';
import type { PeerReport, PeerResult } from '../../src/report/bench_page.ts';
import { pipelineText } from '../pipeline.ts';
import { commandReference } from './commands.ts';
import { table, wrap } from './markdown.ts';
import { type AccuracyReport, commands, type HalfReport, type Records, readRecord } from './records.ts';
import { measuredSections } from './sections.ts';
import { staticPeersTable } from './static_peers.ts';

const percent = (share: number) => (100 * share).toFixed(1);
const seconds = (milliseconds: number) => (milliseconds / 1000).toFixed(2);
/** A largest difference; null where nothing was compared. */
const difference = (error: number | null) =>
  error === null ? 'not compared' : error === 0 ? '0' : error.toExponential(0);
const mebibytes = (bytes: number) => (bytes / 2 ** 20).toFixed(0);

/** Where the figures above the line come from. */
function origin({ command, date, commit, machine, driver, node, load, note }: Provenance): string {
  const facts = [
    machine,
    driver,
    ...(node ? [`Node ${node}`] : []),
    ...(load === null ? [] : [`load ${load}`]),
  ];
  return wrap(
    `Measured on ${date} at commit ${commit}: ${facts.join('; ')}. Command: \`${command}\`.` +
      (note ? ` ${note}` : ''),
  );
}

/** A table with its origin below. */
const withOrigin = (text: string, record: Provenance) => `${text}\n\n${origin(record)}`;

function demo({ record, seconds: time, products }: Records['demo']): string {
  const rows = products.map(({ name, image_AUROC, pixel_AUROC, AUPRO }) => [
    name,
    percent(image_AUROC),
    percent(pixel_AUROC),
    percent(AUPRO),
  ]);
  const text = table(['product', 'image AUROC, %', 'pixel AUROC, %', 'PRO, %'], rows);
  return withOrigin(`${text}\n\nThe whole command took ${time.toFixed(0)} s.`, record);
}

function models(report: BenchReport): string {
  const rows = report.results
    .filter(({ kind }) => kind !== 'kernel')
    .map((r) => [
      `\`${r.name}\``,
      r.median_ms.toFixed(r.median_ms < 100 ? 1 : 0),
      `±${(100 * r.spread).toFixed(0)} %`,
      (r.javascript_ms + r.recording_ms).toFixed(1),
      `${r.dispatches}`,
      mebibytes(r.peak_bytes + r.weight_bytes),
    ]);
  const heads = [
    'case: batch x channels x height x width',
    'ms',
    'spread',
    'of it JavaScript',
    'dispatches',
    'MiB',
  ];
  return withOrigin(table(heads, rows), report.record);
}

function kernels(report: BenchReport): string {
  const rows = report.results
    .filter(({ kind }) => kind === 'kernel')
    .map((r) => [
      `\`${r.name}\``,
      r.median_ms.toFixed(2),
      r.gflops.toFixed(0),
      `${(100 * r.share_of_roofline).toFixed(0)} %`,
      difference(r.max_abs_error),
    ]);
  const { gflops, gbytes_per_s, copies } = report.peaks;
  const peaks = wrap(
    `Measured peaks: ${gflops.toFixed(0)} GFLOP/s, ` +
      `${gbytes_per_s.toFixed(1)} GB/s of large copies by a kernel` +
      (copies
        ? `, ${fastestCopy(report.peaks).toFixed(1)} GB/s of the fastest copy.`
        : '. This record took such copies for the roof of memory, whatever the size of a kernel: cases ' +
          'above 100 % read storage textures, or a cache.'),
  );
  const heads = ['kernel', 'ms', 'GFLOP/s', 'of the roofline', 'largest error'];
  return withOrigin(`${table(heads, rows)}\n\n${peaks}`, report.record);
}

function half(report: HalfReport, full: BenchReport): string {
  const name = 'aand-resnet18/infer/1x3x256x256';
  const row = (type: string, { results, record }: HalfReport, wanted: string) => {
    const r = results.find((result) => result.name === wanted);
    if (!r) throw new Error(`the record of ${record.command} has no case ${wanted}`);
    const all = r.weight_bytes + r.peak_bytes;
    return [type, mebibytes(r.weight_bytes), mebibytes(all), difference(r.max_abs_error)];
  };
  const rows = [row('32 bits', full, name), row('16 bits', report, `${name}/f16`)];
  const heads = [
    'resnet18 detector, 256 pixels',
    'weights, MiB',
    'all, MiB',
    'largest difference of the map',
  ];
  return withOrigin(table(heads, rows), report.record);
}

const backbones = ['resnet18_half', 'resnet18', 'resnet50', 'wide_resnet50_2'];
const trainedTogether = 16;

/** What each backbone costs: inference at 256 pixels, training steps at 128. */
function costs(report: BenchReport, large: BenchReport): string {
  const all = [...report.results, ...large.results];
  const result = (wanted: string) => all.find(({ name }) => name === wanted);
  const rate = (name: string, step: string) => {
    const found = result(`aand-${name}/${step}/${trainedTogether}x3x128x128`);
    return found ? ((1000 * trainedTogether) / found.median_ms).toFixed(0) : 'not measured';
  };
  const rows = backbones.map((name) => {
    const inference = result(`aand-${name}/infer/1x3x256x256`);
    if (!inference) throw new Error(`the record of ${report.record.command} has no detector of ${name}`);
    const { weight_bytes, peak_bytes, median_ms } = inference;
    return [
      name,
      mebibytes(weight_bytes),
      mebibytes(weight_bytes + peak_bytes),
      (1000 / median_ms).toFixed(1),
      rate(name, 'stage1-step'),
      rate(name, 'stage2-step'),
    ];
  });
  const heads = [
    'backbone',
    'weights, MiB',
    'memory, MiB',
    'inspects, images/s',
    'stage I, images/s',
    'stage II, images/s',
  ];
  const elsewhere = large.record.machine === report.record.machine ? '' : ', on another processor';
  const trainings = `Training of resnet50 and wide_resnet50_2${elsewhere}:\n${origin(large.record)}`;
  return `${withOrigin(table(heads, rows), report.record)}\n\n${trainings}`;
}

function firstRun({ record, cold_ms, warm_ms, load_ms }: Records['first-run']): string {
  const rows = [
    ['first inference, no kernel in any cache', seconds(cold_ms)],
    ['first inference, caches filled', seconds(warm_ms)],
    ['loading the model before it', seconds(load_ms)],
  ];
  return withOrigin(table(['resnet18 detector, 256 pixels, a new process', 's'], rows), record);
}

function host({ record, programs, pipeline }: Records['host']): string {
  const rows = programs.map((each) => [
    each.program,
    `${each.dispatches}`,
    each.calls.toFixed(0),
    each.submitted_ms.toFixed(2),
    each.recording_ms.toFixed(2),
  ]);
  const heads = [
    'resnet18, a run of',
    'dispatches',
    'WebGPU calls',
    'JavaScript until submitted, ms',
    'recording the next, ms',
  ];
  return withOrigin(`${table(heads, rows)}\n\n${wrap(pipelineText(pipeline))}`, record);
}

const engineName = ({ engine, version, provider }: PeerResult) =>
  engine === 'aand-webgpu' ? 'this engine, WebGPU' : `${engine} ${version}, ${provider}`;

function peers(report: PeerReport, work: string, chromium: boolean): string {
  const results = report.results.filter(
    ({ name, adapter }) => name.includes(work) && adapter.startsWith('Chromium') === chromium,
  );
  const rows = results.map((r) => [
    engineName(r),
    r.median_ms.toFixed(0),
    r.ratio_to_ours.toFixed(2),
    difference(r.max_abs_error),
  ]);
  const heads = ['engine', 'ms', 'times as long as this engine', 'largest difference'];
  return withOrigin(table(heads, rows), report.record);
}

type Run = AccuracyReport['runs'][number];
const plusMinus = ([mean, deviation]: readonly [number, number]) =>
  `${mean.toFixed(1)} ± ${deviation.toFixed(1)}`;
const runName = ({ mode, category }: Run) => `${category}, mode ${mode}`;

function accuracy(report: AccuracyReport): string {
  const rows = report.runs.map((run) => [
    runName(run),
    plusMinus(run.image_AUROC),
    plusMinus(run.pixel_AUROC),
    plusMinus(run.AUPRO),
  ]);
  const heads = ['product', 'image AUROC, %', 'pixel AUROC, %', 'PRO, %'];
  return withOrigin(table(heads, rows), report.record);
}

function accuracyMore(report: AccuracyReport): string {
  const rows = report.runs.map((run) => [
    runName(run),
    run.image_AUROC_interval.map((bound) => bound.toFixed(1)).join(' to '),
    plusMinus(run.AUPRO_per_image),
    plusMinus(run.image_AP),
    plusMinus(run.image_F1),
    plusMinus(run.pixel_F1),
  ]);
  const heads = [
    'product',
    'interval of image AUROC',
    'PRO per image',
    'image AP',
    'image F1-max',
    'pixel F1-max',
  ];
  return table(heads, rows);
}

function recordList(): string {
  return Object.entries(commands)
    .map(([name, command]) => wrap(`\`bench/results/${name}.json\`: \`${command}\``, '- ', '  '))
    .join('\n');
}

/** A new user's walk through the page, and what the training in it did. */
function walk(root: string): string {
  const { record, steps, parts, forecast_s, taken_s, photographs, teacher } = readRecord(root, 'walk');
  const rows = steps.map(({ name, seconds }) => [name, seconds.toFixed(1)]);
  const within = parts.map(({ name, seconds }) => `${name} ${seconds.toFixed(0)} s`).join(', ');
  const training = wrap(
    `The training of ${photographs} photographs with the teacher ${teacher} was forecast to take ` +
      `${forecast_s} s and took ${taken_s.toFixed(0)} s: ${within}.`,
  );
  return withOrigin(`${table(['step', 'seconds'], rows)}\n\n${training}`, record);
}

/** The load on a server. */
function serveLoad(root: string): string {
  const { record, image_size, results } = readRecord(root, 'serve-load');
  const rows = results.map((r) => [
    r.name,
    `${r.concurrency}`,
    `${r.requests}`,
    r.requests_per_s.toFixed(1),
    r.p50_ms.toFixed(0),
    r.p99_ms.toFixed(0),
    `${r.failed + r.missing + r.surplus}`,
    `${(r.memory_mib[0] ?? 0).toFixed(0)}, ${(r.memory_mib.at(-1) ?? 0).toFixed(0)}`,
  ]);
  const heads = [
    `detector, ${image_size} pixels`,
    'senders',
    'requests',
    'requests/s',
    'p50, ms',
    'p99, ms',
    'lost',
    'MiB at 5 %, at the end',
  ];
  return withOrigin(table(heads, rows), record);
}

/**
 * The text of every figure, by the name that its marker has.
 * @param root folder of the checkout
 * @throws Error where a record is missing or lacks what a figure needs
 */
export function figures(root: string): ReadonlyMap<string, string> {
  const bench = readRecord(root, 'bench');
  const peer = readRecord(root, 'peers');
  const demoRun = readRecord(root, 'demo');
  const compiled = readRecord(root, 'static-peers');
  const measured = readRecord(root, 'accuracy');
  return new Map([
    ['demo', demo(demoRun)],
    ['models', models(bench)],
    ['kernels', kernels(bench)],
    ['costs', costs(bench, readRecord(root, 'bench-large'))],
    ['half', half(readRecord(root, 'half'), bench)],
    ['host', host(readRecord(root, 'host'))],
    ['serve-load', serveLoad(root)],
    ['walk', walk(root)],
    ['first-run', firstRun(readRecord(root, 'first-run'))],
    ['peers-forward', peers(peer, 'forward', false)],
    ['peers-train', peers(peer, 'train-step', false)],
    ['peers-browser', peers(peer, 'forward', true)],
    ['peers-static', withOrigin(staticPeersTable(compiled.families), compiled.record)],
    ['accuracy', accuracy(measured)],
    ['accuracy-more', accuracyMore(measured)],
    ['measured', measuredSections(join(root, 'bench/results/tables'), origin)],
    ['records', recordList()],
    ['commands', commandReference()],
  ]);
}
