/** The live page of `aand serve`: judgements as they come. */
import { scoreText } from '../src/eval/thresholds.ts';
import type { Judgement } from '../src/serve/judgement.ts';
import { element } from './dom.ts';

/** A judgement with its picture as data URL. */
type Event = Judgement & { readonly picture: string | null };

const mostRows = 100;
const retryMilliseconds = 2000;
/** Models whose scores have drifted, and what to do. */
const drifts = new Map<string, string>();
const counts = { all: 0, good: 0, anomalous: 0 };

const find = <T extends HTMLElement = HTMLElement>(id: string) => document.getElementById(id) as T;

const verdict = ({ pred_label }: Event) => pred_label ?? 'no threshold';
const kind = ({ pred_label }: Event) => (pred_label === null ? '' : pred_label === 'good' ? 'good' : 'bad');
const score = ({ pred_score, raw_score }: Event) =>
  pred_score === null ? `raw ${raw_score.toFixed(3)}` : scoreText(pred_score);

function picture(event: Event, className: string): HTMLElement {
  if (!event.picture) return element('span', { className: 'quiet', textContent: 'no picture' });
  const alt = event.regions.length
    ? `${event.regions.length} marked regions`
    : 'heat map without a marked region';
  return element('img', { src: event.picture, alt, className });
}

function show(event: Event): void {
  counts.all++;
  if (event.pred_label) counts[event.pred_label]++;
  for (const [name, count] of Object.entries(counts)) find(`count-${name}`).textContent = `${count}`;
  const time = new Date(event.time).toLocaleTimeString();
  find('latest').replaceChildren(
    element('p', { className: `verdict ${kind(event)}`, textContent: verdict(event) }),
    picture(event, 'large'),
    element('p', {
      className: 'quiet',
      textContent: `${event.name ?? 'no name'}, ${event.model}, score ${score(event)}, ${time}`,
    }),
  );
  if (event.drift === null) drifts.delete(event.model);
  else drifts.set(event.model, event.drift);
  find('drift').hidden = !drifts.size;
  find('drift').textContent = [...drifts].map(([model, text]) => `${model}: ${text}`).join(' ');
  const texts = [score(event), event.name ?? '', event.model, time];
  const cells = [
    element('td', {}, picture(event, 'small')),
    element('td', { className: kind(event), textContent: verdict(event) }),
    ...texts.map((textContent) => element('td', { textContent })),
  ];
  const rows = find('rows');
  rows.prepend(element('tr', {}, ...cells));
  rows.children[mostRows]?.remove();
}

/** Parts of the stream that are whole, and what is left. */
function split(text: string): { events: string[]; rest: string } {
  const parts = text.split('\n\n');
  const rest = parts.pop() ?? '';
  return { events: parts.filter((part) => part.includes('\nevent: judgement\n')), rest };
}

const token = () => decodeURIComponent(/token=([^&]*)/.exec(location.hash)?.[1] ?? '');

/** Reads the stream until it ends. The token travels in a header, which EventSource cannot send. */
async function read(): Promise<void> {
  const headers = token() ? { authorization: `Bearer ${token()}` } : undefined;
  const response = await fetch('events', headers ? { headers } : {});
  find('access').hidden = response.status !== 401;
  if (response.status === 401) {
    find('connection').textContent = 'a token is needed';
    await new Promise((resolve) => addEventListener('hashchange', resolve, { once: true }));
    return;
  }
  if (!response.ok || !response.body) throw new Error(`the server answers with ${response.status}`);
  find('connection').textContent = 'connected';
  find('problem').hidden = true;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    const { events, rest } = split(text + part.value);
    text = rest;
    for (const event of events) show(JSON.parse(/^data: (.*)$/m.exec(event)?.[1] ?? '') as Event);
  }
}

const withToken = token() ? " -H 'authorization: Bearer TOKEN'" : '';
find('example').textContent = `curl --data-binary @photo.png ${location.origin}/predict${withToken}`;
find<HTMLFormElement>('access').addEventListener('submit', (event) => {
  event.preventDefault();
  location.hash = `token=${encodeURIComponent(find<HTMLInputElement>('token').value)}`;
});

/** Reads the stream, again and again. */
async function follow(): Promise<void> {
  for (;;) {
    try {
      await read();
    } catch (error) {
      find('problem').hidden = false;
      find('problem').textContent = `No connection to the server: ${(error as Error).message}. Trying again.`;
    }
    if (find('access').hidden) find('connection').textContent = 'connecting…';
    await new Promise((resolve) => setTimeout(resolve, retryMilliseconds));
  }
}

void follow();
