/** The page: tabs, the device, the first screen, and the views. */
import { createBenchView } from './bench_view.ts';
import { attempt, machine } from './connection.ts';
import { createInspectView } from './inspect_view.ts';
import { createLineView } from './line_view.ts';
import { createStartView } from './start_view.ts';
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

const tabOf = (view: string) => byId(`tab-${view}`) as HTMLButtonElement;
const inspect = createInspectView(byId('inspect'), {
  opening: (text, share) => start.say(text, share),
  waiting: (count) => start.waiting(count),
  opened: () => start.leave(),
  closed: () => start.enter(),
});
const train = createTrainView(byId('train'), async (model) => {
  select(tabOf('inspect'));
  await inspect.openModel(model);
});
createLineView(byId('line'), {
  model: inspect.model,
  inspect: async (picture, result) => {
    select(tabOf('inspect'));
    await inspect.takeJudged(picture, result);
  },
});
createBenchView(byId('bench'), () => select(tabOf('bench')));
const start = createStartView(byId('inspect'), {
  openModel: (model) => inspect.openModel(model),
  openDemo: (model, pictures) => inspect.openDemo(model, pictures),
  learn() {
    select(tabOf('train'));
    byId('train').querySelector('input')?.focus();
  },
});

const facts = await attempt(() => machine.device());
byId('device').textContent = facts
  ? `${facts.name}${facts.software ? ' (software, slow)' : ''}`
  : 'no WebGPU';
if (facts) byId('device').title = `kernel profile ${facts.profile}`;
else train.withoutDevice();
if (facts) await attempt(() => inspect.restore());
await start.ready(facts !== undefined);
document.documentElement.dataset.started = 'yes';

if ('serviceWorker' in navigator) navigator.serviceWorker.register('service_worker.js').catch(() => {});
