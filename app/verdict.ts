/** The verdict of the shown image, with its score. */
import { scoreText } from '../src/eval/thresholds.ts';
import { element } from './dom.ts';
import type { Inspection } from './inspection.ts';

export function createVerdict(inspection: Inspection) {
  const verdict = element('p', { className: 'verdict', aria: { role: 'status' } });
  const details = element('p', { className: 'quiet' });

  const draw = () => {
    const { selected } = inspection;
    if (!selected?.map) {
      verdict.textContent = 'No image yet';
      verdict.className = 'verdict';
      details.textContent = 'Drop images here, or a model file (.safetensors).';
      return;
    }
    const bad = inspection.isAnomalous(selected);
    verdict.textContent = bad === null ? 'No limit' : bad ? 'Anomalous' : 'Good';
    verdict.className = bad === null ? 'verdict' : `verdict ${bad ? 'bad' : 'good'}`;
    const { decode, detect } = selected.map.milliseconds;
    const shown = inspection.shownScore(selected.score);
    const raw = `raw ${selected.score.toFixed(4)}`;
    const score = shown === null ? raw : `score ${scoreText(shown)} (${raw})`;
    const times = `decoding ${decode.toFixed(0)} ms, detecting ${detect.toFixed(0)} ms`;
    details.textContent = `${selected.name}: ${score}; ${times}`;
  };
  draw();
  inspection.onChange((change) => (change === 'limit' || change === 'selection') && draw());

  return {
    parts: [element('div', { className: 'row' }, verdict), details] as const,
  };
}
