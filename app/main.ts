/** The page: tabs, the device, and the three views. */
import { createBenchView } from './bench_view.ts';
import { attempt, machine } from './connection.ts';
import { createInspectView } from './inspect_view.ts';
import { createTrainView } from './train_view.ts';

const byId = (id: string) => document.getElementById(id) as HTMLElement;
const tabs = [...document.querySelectorAll<HTMLButtonElement>('[role=tab]')];

function select(tab: HTMLButtonElement): void {
  for (const other of tabs) {
    const chosen = other === tab;
    other.setAttribute('aria-selected', String(chosen));
    other.tabIndex = chosen ? 0 : -1;
    byId(other.getAttribute('aria-controls') as string).hidden = !chosen;
  }
}

for (const [i, tab] of tabs.entries()) {
  tab.addEventListener('click', () => select(tab));
  tab.addEventListener('keydown', (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = tabs[(i + step + tabs.length) % tabs.length] as HTMLButtonElement;
    select(next);
    next.focus();
  });
}

const inspect = createInspectView(byId('inspect'));
createTrainView(byId('train'), async (model) => {
  select(byId('tab-inspect') as HTMLButtonElement);
  await inspect.openModel(model);
});
createBenchView(byId('bench'));

const facts = await attempt(() => machine.device());
byId('device').textContent = facts
  ? `${facts.name}${facts.software ? ' (software, slow)' : ''}`
  : 'no WebGPU';
if (facts) byId('device').title = `kernel profile ${facts.profile}`;
if (facts) await inspect.openDemo();

if ('serviceWorker' in navigator) navigator.serviceWorker.register('service_worker.js').catch(() => {});
