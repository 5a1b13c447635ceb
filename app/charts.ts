/** Chart.js with this page's colours; only the parts that are used, so that the bundle stays small. */
import {
  BarController,
  BarElement,
  CategoryScale,
  Chart,
  type ChartConfiguration,
  Legend,
  LinearScale,
  LineController,
  LineElement,
  LogarithmicScale,
  PointElement,
  ScatterController,
  Tooltip,
} from 'chart.js';

Chart.register(
  BarController,
  BarElement,
  CategoryScale,
  Legend,
  LinearScale,
  LineController,
  LineElement,
  LogarithmicScale,
  PointElement,
  ScatterController,
  Tooltip,
);

export const css = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

const colours = { text: '', line: '' };
function takeColours(): void {
  colours.text = css('--quiet');
  colours.line = css('--line');
}
// Functions, because Chart.js keeps plain colours as they were when the chart was made, dark or light.
const text = () => colours.text;
const line = () => colours.line;
Chart.defaults.set('scale', {
  ticks: { color: text },
  title: { color: text },
  grid: { color: line },
  border: { color: line },
});
Chart.defaults.set('plugins.legend', { labels: { color: text } });

// Charts that are there already are drawn anew when the system turns dark or light.
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
  takeColours();
  for (const shown of Object.values(Chart.instances)) shown.update();
});

export function chart(canvas: HTMLCanvasElement, configuration: ChartConfiguration): Chart {
  takeColours();
  Chart.defaults.font.family = 'system-ui, sans-serif';
  Chart.defaults.animation = false;
  Chart.defaults.maintainAspectRatio = false;
  return new Chart(canvas, configuration);
}
export type { Chart };
