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

function takeColours(): void {
  Chart.defaults.color = css('--quiet');
  Chart.defaults.borderColor = css('--line');
}

// Charts that are drawn already follow when the system turns dark or light.
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
