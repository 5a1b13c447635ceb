/** The bench in the worker: the cases and the statistics of `aand bench`, told row by row. */
import { runBench } from '../src/bench/bench.ts';
import { defaultMostSpread } from '../src/bench/notes.ts';
import { type BenchReport, printedPeaks } from '../src/bench/report.ts';
import { chooseCases } from '../src/bench/select.ts';
import type { Engine } from '../src/engine/runtime/engine.ts';
import type { BenchEvent, BenchRequest } from './types.ts';

declare const PAGE_VERSION: string;

const wordsOf = (text: string) => text.split(/\s+/).filter(Boolean);

/**
 * Measures what the user chose. What is stopped gives the rows that are there.
 *
 * @throws Error naming the shape or expression that does not fit, or where nothing is chosen
 */
export async function benchInPage(
  engine: Engine,
  { kinds, names, shapes }: BenchRequest,
  signal: AbortSignal,
  tell: (event: BenchEvent) => void,
): Promise<BenchReport> {
  const filters = wordsOf(names);
  const all = chooseCases({ filters, shapes: wordsOf(shapes), quick: !filters.length });
  // Whoever names cases means those, whatever their kind.
  const cases = filters.length || shapes.trim() ? all : all.filter(({ kind }) => kinds.includes(kind));
  if (!cases.length) throw new Error('nothing is chosen: choose kernels, networks or training steps');
  const { adapter } = engine;
  const record = {
    command: 'Bench in the page',
    date: new Date().toISOString().slice(0, 10),
    commit: PAGE_VERSION,
    machine: `${navigator.hardwareConcurrency} cores, ${navigator.userAgent}`,
    driver: adapter.description || `${adapter.vendor} ${adapter.architecture}`.trim() || 'GPU',
    node: null,
    load: null,
  };
  tell({ kind: 'peaks' });
  const { peaks, results, failures, stopped } = await runBench(engine, cases, {
    quick: true,
    mostSpread: defaultMostSpread,
    signal,
    onPeaks: (peaks) => tell({ kind: 'begin', record, adapter, peaks: printedPeaks(peaks) }),
    onCase: ({ name }, place) => tell({ kind: 'case', name, place, total: cases.length }),
    onResult: (result) => tell({ kind: 'result', result }),
    onFailure: (failure) => tell({ kind: 'failure', failure }),
  });
  const measured = results.length + failures.length;
  return {
    record: stopped
      ? { ...record, note: `stopped: ${measured} of ${cases.length} cases were measured` }
      : record,
    adapter,
    peaks: printedPeaks(peaks),
    results,
    ...(failures.length && { failures }),
  };
}
