/** The inspected images as a table: thumbnails, folders, sortable; a row shows its image; saved as CSV. */
import { csvTable } from '../src/eval/csv.ts';
import { scoreText } from '../src/eval/thresholds.ts';
import { button, element, save } from './dom.ts';
import type { Inspection, Item } from './inspection.ts';
import { createThumbnails } from './thumbnails.ts';

type SortKey = 'name' | 'score' | 'verdict';

const verdictText = (bad: boolean | null) => (bad === null ? '' : bad ? 'anomalous' : 'good');

/** The folder of a path with its slash, and the file's own name. */
function splitPath(path: string): readonly [folder: string, file: string] {
  const at = path.lastIndexOf('/') + 1;
  return [path.slice(0, at), path.slice(at)];
}

/** The table of what is inspected, as a file. */
export function scoresTable(inspection: Inspection): string {
  const rows = inspection.items.map((item) => [
    item.name,
    item.score,
    inspection.shownScore(item.score),
    verdictText(inspection.isAnomalous(item)),
    item.label ?? null,
  ]);
  return csvTable(['name', 'raw_score', 'pred_score', 'pred_label', 'marked'], rows);
}

interface Row {
  readonly row: HTMLTableRowElement;
  readonly choose: HTMLButtonElement;
  draw(): void;
}

/** @param onChoose told the image whose row was chosen */
export function createImageTable(
  inspection: Inspection,
  onChoose: (item: Item) => void,
  moreButtons: readonly HTMLButtonElement[],
) {
  let sort: { key: SortKey; down: boolean } = { key: 'score', down: true };
  const made = new WeakMap<Item, Row>();
  const body = element('tbody');
  const count = element('p', { className: 'quiet', aria: { role: 'status' } }, 'no images');
  const region = element('div', {
    className: 'scroll',
    tabIndex: 0,
    aria: { role: 'region', label: 'Inspected images' },
  });
  const thumbnails = createThumbnails(region);

  const order: Record<SortKey, (a: Item, b: Item) => number> = {
    name: (a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }),
    score: (a, b) => a.score - b.score,
    verdict: (a, b) => Number(inspection.isAnomalous(a)) - Number(inspection.isAnomalous(b)),
  };
  const sorted = () => [...inspection.items].sort((a, b) => order[sort.key](a, b) * (sort.down ? -1 : 1));

  const makeRow = (item: Item): Row => {
    const [folder, file] = splitPath(item.name);
    const choose = button(file, () => onChoose(item));
    const [score, verdict, label] = [element('td'), element('td'), element('td')];
    const row = element(
      'tr',
      {},
      element('td', { className: 'thumbnail' }, thumbnails.of(item)),
      element(
        'td',
        { className: 'name' },
        choose,
        folder && element('span', { className: 'folder' }, folder),
      ),
      score,
      verdict,
      label,
    );
    return {
      row,
      choose,
      draw() {
        const bad = inspection.isAnomalous(item);
        const chosen = item === inspection.selected;
        row.className = chosen ? 'selected' : '';
        if (chosen) choose.setAttribute('aria-current', 'true');
        else choose.removeAttribute('aria-current');
        const shown = inspection.shownScore(item.score);
        score.textContent = shown === null ? item.score.toFixed(3) : scoreText(shown);
        score.title = `raw score ${item.score.toFixed(4)}`;
        verdict.textContent = bad === null ? 'no limit' : verdictText(bad);
        verdict.className = bad === null ? '' : bad ? 'bad-text' : 'good-text';
        label.textContent = item.label ? `marked ${item.label}` : '';
      },
    };
  };
  const rowOf = (item: Item): Row => {
    const known = made.get(item) ?? makeRow(item);
    made.set(item, known);
    return known;
  };

  const buttons = [
    button('Save table (CSV)', () => save('scores.csv', scoresTable(inspection), 'text/csv')),
    ...moreButtons,
  ];
  const drawCount = () => {
    const { items } = inspection;
    for (const button of buttons) button.disabled = !items.length;
    const bad = items.filter((item) => inspection.isAnomalous(item)).length;
    const judged = inspection.limit ? `${bad} anomalous` : 'no limit';
    count.textContent = items.length ? `${items.length} images, ${judged}` : 'no images';
  };

  const draw = () => {
    const rows = sorted().map(rowOf);
    for (const row of rows) row.draw();
    body.replaceChildren(...rows.map(({ row }) => row));
    drawCount();
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

  drawCount();
  inspection.onChange((change) => {
    if (change !== 'selection') return draw();
    for (const item of inspection.items) made.get(item)?.draw();
    if (!inspection.selected) return;
    made.get(inspection.selected)?.row.scrollIntoView?.({ block: 'nearest' });
  });

  const plainHeading = (text: string) => element('th', { scope: 'col' }, text);
  region.append(
    element(
      'table',
      {},
      element(
        'thead',
        {},
        element('tr', {}, element('td', {}), ...headings.map(({ cell }) => cell), plainHeading('marked')),
      ),
      body,
    ),
  );

  return {
    card: element(
      'div',
      { className: 'card' },
      element('h2', {}, 'Images'),
      count,
      region,
      element('div', { className: 'row' }, ...buttons),
    ),
    /** The image so many rows after the selected one, as the table is sorted. */
    neighbour(step: number): Item | undefined {
      const rows = sorted();
      const at = inspection.selected ? rows.indexOf(inspection.selected) : -1;
      if (at < 0) return rows[0];
      return rows[Math.min(rows.length - 1, Math.max(0, at + step))];
    },
    /** The first or the last row's image. */
    end(which: 'first' | 'last'): Item | undefined {
      return sorted().at(which === 'first' ? 0 : -1);
    },
    /** What is being done, in the place of the count. */
    say(text: string): void {
      count.textContent = text;
    },
    drawCount,
  };
}
