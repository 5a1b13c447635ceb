/** The card of the log: a folder that it is written into, or a file to save. */
import { attempt, showProblem } from './connection.ts';
import { button, element, field, save } from './dom.ts';
import { type Judged, stampOf } from './judged.ts';
import { chooseFolder, type KeptPictures, LineLog, writesFolders } from './line_log.ts';

export function createLogCard() {
  const status = element('p', { className: 'quiet', aria: { role: 'status' } });
  const show = () => {
    const { length, folder } = log;
    const where = folder
      ? `Written into the folder "${folder}" as it grows.`
      : 'Kept in this tab until it is closed: save it.';
    status.textContent = length ? `${length} judgements. ${where}` : `Empty. ${where}`;
    keep.disabled = length === 0;
  };
  const log = new LineLog((error) => {
    const { message } = error as Error;
    showProblem(`The log's folder cannot be written any more: ${message} The log goes on in this tab.`);
    show();
  });
  const pictures = element(
    'select',
    {},
    element('option', { value: 'NOK' }, 'of NOK parts'),
    element('option', { value: 'all' }, 'of all parts'),
    element('option', { value: 'none' }, 'none'),
  );
  const choose = button('Write into a folder', () =>
    attempt(async () => {
      const folder = await chooseFolder();
      if (!folder) return;
      log.writeTo(folder);
      show();
    }),
  );
  choose.hidden = !writesFolders();
  const keep = button('Save log (CSV)', () => save(`log ${stampOf(new Date())}.csv`, log.csv(), 'text/csv'));
  const wanted = ({ anomalous }: Judged) => {
    const kept = pictures.value as KeptPictures;
    return kept === 'all' || (kept === 'NOK' && anomalous === true);
  };
  show();

  return {
    card: element(
      'div',
      { className: 'card' },
      element('h2', {}, 'Log'),
      status,
      writesFolders() && field('Pictures in the folder', pictures),
      element('div', { className: 'row' }, choose, keep),
    ),
    add(frame: Judged, picture: Promise<Blob>): void {
      log.add(frame, wanted(frame) ? picture : undefined);
      show();
    },
  };
}
