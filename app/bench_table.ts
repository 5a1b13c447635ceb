/** Results of the bench as rows that appear as they finish. */
import type { BenchFailure, BenchResult } from '../src/bench/report.ts';
import { element } from './dom.ts';

const percent = (share: number) => `${(100 * share).toFixed(0)} %`;

const columns: readonly {
  readonly head: string;
  readonly title: string;
  readonly text: (r: BenchResult) => string;
}[] = [
  { head: 'ms', title: 'median of the runs', text: (r) => r.median_ms.toFixed(r.median_ms < 100 ? 2 : 0) },
  {
    head: 'spread',
    title: 'half of the range between the quartiles',
    text: (r) => `±${percent(r.spread)}${r.unsteady ? ' ~' : ''}`,
  },
  { head: 'GFLOP/s', title: 'of the operations that the kernels do', text: (r) => r.gflops.toFixed(1) },
  {
    head: 'of roof',
    title: 'share of what the measured peaks allow',
    text: (r) => `${percent(r.share_of_roofline)}${r.share_of_roofline > 1 ? ' *' : ''}`,
  },
  { head: 'bound by', title: 'what limits most of the work', text: (r) => r.bound ?? '' },
  {
    head: 'error',
    title: 'largest difference to a reference result',
    text: (r) => (r.max_abs_error === null ? '' : r.max_abs_error.toExponential(0)),
  },
  { head: 'dispatches', title: 'kernels of a run', text: (r) => String(r.dispatches) },
];

export interface BenchTable {
  readonly root: HTMLElement;
  clear(): void;
  add(result: BenchResult): void;
  addFailure(failure: BenchFailure): void;
}

export function benchTable(): BenchTable {
  const rows = element('tbody');
  const name = (text: string) => element('td', { className: 'name' }, text);
  const root = element(
    'div',
    { className: 'scroll', tabIndex: 0, hidden: true, aria: { role: 'region', label: 'Results' } },
    element(
      'table',
      { className: 'numbers' },
      element(
        'thead',
        {},
        element(
          'tr',
          {},
          element('th', { scope: 'col' }, 'case'),
          ...columns.map(({ head, title }) => element('th', { scope: 'col', title }, head)),
        ),
      ),
      rows,
    ),
  );
  const add = (row: HTMLTableRowElement) => {
    root.hidden = false;
    rows.append(row);
  };
  return {
    root,
    clear() {
      rows.replaceChildren();
      root.hidden = true;
    },
    add: (result) =>
      add(
        element('tr', {}, name(result.name), ...columns.map(({ text }) => element('td', {}, text(result)))),
      ),
    addFailure: (failure) =>
      add(
        element(
          'tr',
          {},
          name(failure.name),
          element('td', { colSpan: columns.length, className: 'failure' }, `failed: ${failure.message}`),
        ),
      ),
  };
}
