/** The last judged pictures of the camera, the newest first; one of them is a button that opens it. */
import { scoreText } from '../src/eval/thresholds.ts';
import { button, element } from './dom.ts';
import { type Judged, signOf } from './judged.ts';

/** Pictures that are kept: each is some megabytes. */
const keptPictures = 100;
const thumbnailWidth = 120;

export interface ListedPicture {
  readonly frame: Judged;
  readonly picture: Promise<File>;
  readonly thumbnail: OffscreenCanvas;
}

export function createJudgedList(onOpen: (picture: ListedPicture) => void) {
  const sheet = element('ol', { className: 'judged' });
  const words = element('p', { className: 'quiet' }, 'A judged picture can be opened, marked and explained.');

  const entry = (listed: ListedPicture) => {
    const { frame, thumbnail } = listed;
    const height = Math.round((thumbnailWidth * thumbnail.height) / thumbnail.width);
    const small = element('canvas', { width: thumbnailWidth, height });
    small.getContext('2d')?.drawImage(thumbnail, 0, 0, thumbnailWidth, height);
    const shown = frame.score === null ? frame.result.score.toFixed(2) : scoreText(frame.score, 2);
    const class_ = frame.anomalous === null ? '' : frame.anomalous ? 'bad' : 'good';
    const open = button('', () => onOpen(listed));
    open.append(
      small,
      element('span', { className: class_ }, `${signOf(frame.anomalous)} ${shown}`),
      element('small', {}, `${frame.number}, ${frame.time.toLocaleTimeString()}`),
    );
    return element('li', {}, open);
  };

  return {
    card: element('div', { className: 'card' }, element('h2', {}, 'Judged pictures'), words, sheet),
    add(picture: ListedPicture): void {
      sheet.prepend(entry(picture));
      while (sheet.children.length > keptPictures) sheet.lastElementChild?.remove();
      words.textContent =
        picture.frame.number > keptPictures
          ? `The last ${keptPictures}; earlier ones are in the log alone.`
          : 'Open one to mark it as good or bad, or to see why.';
    },
    clear(): void {
      sheet.replaceChildren();
    },
  };
}
