/** The inspected images as a table: sortable, one row a button that shows the image, saved as CSV. */
import { csvTable } from '../src/eval/csv.ts';
import { type Calibration, isAnomalous, normalizeScore } from '../src/eval/thresholds.ts';
import { button, element, save } from './dom.ts';
import type { MapResult } from './types.ts';

export interface Item {
  readonly name: string;
  /** Undefined for the camera's picture. */
  readonly file: File | undefined;
  result: MapResult;
  label: 'good' | 'bad' | undefined;
}

type SortKey = 'name' | 'score' | 'verdict';

export function createImageTable(onChoose: (item: Item) => void) {
  let items: readonly Item[] = [];
  let selected: Item | undefined;
  /** Null for a model without a threshold: there are no verdicts, and raw scores. */
  let threshold: Calibration | null = null;
  let sort: { key: SortKey; down: boolean } = { key: 'score', down: true };
  const rows = element('tbody');
  const count = element('p', { className: 'quiet', aria: { role: 'status' } }, 'no images');

  const anomalous = ({ result }: Item) => isAnomalous(result.score, threshold);

  const verdictText = (bad: boolean | null) => (bad === null ? '' : bad ? 'anomalous' : 'good');

  const verdictCell = (bad: boolean | null) => {
    if (bad === null) return element('td', {}, 'no threshold');
    return element('td', { className: bad ? 'bad-text' : 'good-text' }, verdictText(bad));
  };

  const order: Record<SortKey, (a: Item, b: Item) => number> = {
    name: (a, b) => a.name.localeCompare(b.name),
    score: (a, b) => a.result.score - b.result.score,
    verdict: (a, b) => Number(anomalous(a)) - Number(anomalous(b)),
  };

  const row = (item: Item) =>
    element(
      'tr',
      { className: item === selected ? 'selected' : '' },
      element(
        'td',
        { className: 'name' },
        button(item.name, () => onChoose(item)),
      ),
      element('td', {}, (normalizeScore(item.result.score, threshold) ?? item.result.score).toFixed(3)),
      verdictCell(anomalous(item)),
      element('td', {}, item.label ? `marked ${item.label}` : ''),
    );

  const draw = () => {
    const sorted = [...items].sort((a, b) => order[sort.key](a, b) * (sort.down ? -1 : 1));
    rows.replaceChildren(...sorted.map(row));
    count.textContent = items.length
      ? `${items.length} images, ${items.filter(anomalous).length} anomalous`
      : 'no images';
  };

  const heading = (text: string, key: SortKey) => {
    const cell = element('th', { scope: 'col' });
    const update = () =>
      cell.setAttribute('aria-sort', sort.key !== key ? 'none' : sort.down ? 'descending' : 'ascending');
    cell.append(
      button(text, () => {
        sort = { key, down: sort.key === key ? !sort.down : key === 'score' };
        for (const other of headings) other.update();
        draw();
      }),
    );
    return { cell, update };
  };
  const headings = [heading('image', 'name'), heading('score', 'score'), heading('verdict', 'verdict')];
  for (const { update } of headings) update();

  const saveCsv = () => {
    const rows = items.map((item) => [
      item.name,
      item.result.score,
      normalizeScore(item.result.score, threshold),
      verdictText(anomalous(item)),
      item.label ?? null,
    ]);
    save(
      'scores.csv',
      csvTable(['name', 'raw_score', 'pred_score', 'pred_label', 'marked'], rows),
      'text/csv',
    );
  };

  return {
    card: element(
      'div',
      { className: 'card' },
      element('h2', {}, 'Images'),
      count,
      element(
        'div',
        { className: 'scroll', tabIndex: 0, aria: { role: 'region', label: 'Inspected images' } },
        element(
          'table',
          {},
          element(
            'thead',
            {},
            element('tr', {}, ...headings.map(({ cell }) => cell), element('th', { scope: 'col' }, 'marked')),
          ),
          rows,
        ),
      ),
      element('div', { className: 'row' }, button('Save table (CSV)', saveCsv)),
    ),
    show(shown: readonly Item[], chosen: Item | undefined, at: Calibration | null): void {
      items = shown;
      selected = chosen;
      threshold = at;
      draw();
    },
    /** What is being done, in the place of the count. */
    say(text: string): void {
      count.textContent = text;
    },
  };
}
