/** The sign for the operator: OK or NOK, the picture, counters, the trend; on the whole screen if wanted. */
import type { Scale } from '../src/eval/marks.ts';
import { scoreText } from '../src/eval/thresholds.ts';
import { button, element } from './dom.ts';
import { type Counts, counted, type Judged, signOf } from './judged.ts';
import { makePainting, pictureOf } from './paint.ts';
import { createScoreTrend } from './score_trend.ts';

const longestSide = 1280;
const colours = 'jet';
const none: Counts = { judged: 0, good: 0, bad: 0 };

export function createOperatorScreen() {
  let counts = none;
  const trend = createScoreTrend();
  const sign = element('p', { className: 'sign', aria: { role: 'status' } }, 'Nothing judged yet');
  const view = element('div', { className: 'view' });
  const words = element('p', { className: 'quiet' }, 'Start the camera, then judge its picture.');
  const numbers = { judged: element('dd'), good: element('dd'), bad: element('dd') };
  const leave = button('Leave the full screen', () => void leaveScreen());
  leave.hidden = true;
  const pair = (name: string, value: HTMLElement) => element('div', {}, element('dt', {}, name), value);
  const card = element(
    'div',
    { className: 'card operator' },
    sign,
    view,
    words,
    element(
      'dl',
      { className: 'counts' },
      pair('judged', numbers.judged),
      pair('OK', numbers.good),
      pair('NOK', numbers.bad),
    ),
    trend.root,
    leave,
  );

  const showCounts = () => {
    for (const name of ['judged', 'good', 'bad'] as const) numbers[name].textContent = String(counts[name]);
    numbers.good.className = 'good';
    numbers.bad.className = 'bad';
  };
  const showFilled = (filled: boolean) => {
    card.classList.toggle('filled', filled);
    leave.hidden = !filled;
  };
  /** Phones without a full screen for elements get one that fills the page. */
  const fill = async () => {
    showFilled(true);
    await card.requestFullscreen?.().catch(() => {});
  };
  const leaveScreen = async () => {
    showFilled(false);
    if (document.fullscreenElement) await document.exitFullscreen();
  };
  document.addEventListener('fullscreenchange', () => {
    if (!document.fullscreenElement) showFilled(false);
  });
  document.addEventListener('keydown', ({ key }) => {
    if (key === 'Escape') showFilled(false);
  });
  showCounts();

  return {
    card,
    fill: () => void fill(),
    show(frame: Judged, picture: OffscreenCanvas, scale: Scale | null): void {
      counts = counted(counts, frame);
      showCounts();
      const { result, score, anomalous } = frame;
      const class_ = anomalous === null ? '' : anomalous ? ' bad' : ' good';
      sign.textContent = signOf(anomalous);
      sign.className = `sign${class_}`;
      words.textContent =
        score === null
          ? `Raw score ${result.score.toFixed(4)}: this model has no limit. Mark images in the Inspect ` +
            'view and recalibrate.'
          : `Number ${frame.number}, ${frame.time.toLocaleTimeString()}: score ${scoreText(score)}, ` +
            'limit 0.5';
      const painting = makePainting(picture, result, scale, colours);
      const canvas = pictureOf(painting, { heat: false, outline: true, opacity: 0, colours }, longestSide);
      canvas.setAttribute('role', 'img');
      canvas.setAttribute('aria-label', 'the judged picture, with an outline around what is anomalous');
      view.replaceChildren(canvas);
      if (score !== null) trend.add(frame.number, score);
    },
    reset(): void {
      counts = none;
      showCounts();
      trend.clear();
      sign.textContent = 'Nothing judged yet';
      sign.className = 'sign';
      words.textContent = '';
      view.replaceChildren();
    },
  };
}
