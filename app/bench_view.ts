/** Bench: this engine on this device, row by row, with the roofline; results as a file or a link. */
import * as Comlink from 'comlink';
import type { BenchCase } from '../src/bench/case.ts';
import { defaultMostSpread, markNotes } from '../src/bench/notes.ts';
import {
  type BenchReport,
  type BenchResult,
  fastestCopy,
  readReport,
  reportText,
} from '../src/bench/report.ts';
import { rooflineChart } from './bench_chart.ts';
import { linkedReport, reportLink } from './bench_link.ts';
import { benchTable } from './bench_table.ts';
import { attempt, machine, showProblem } from './connection.ts';
import { button, element, field, fileButton, save } from './dom.ts';
import { minutes } from './time.ts';
import { tuningView } from './tuning_view.ts';
import type { BenchEvent } from './types.ts';

const kinds: readonly { readonly kind: BenchCase['kind']; readonly text: string; readonly hint: string }[] = [
  { kind: 'kernel', text: 'Kernels', hint: 'single convolutions and their gradients' },
  { kind: 'model', text: 'Networks', hint: 'a classifier, a whole detector' },
  { kind: 'training', text: 'Training', hint: 'a step of a network' },
];

/** Where results come from, in a line. */
function originText({ record, peaks }: BenchReport): string {
  const { date, commit, driver, note } = record;
  const measured = `peaks ${peaks.gflops.toFixed(0)} GFLOP/s, copies ${fastestCopy(peaks).toFixed(1)} GB/s`;
  return [`${driver}: ${measured}, measured`, date, commit, note].filter(Boolean).join(' · ');
}

/** @param select shows this view: a link with results opens it */
export function createBenchView(root: HTMLElement, select: () => void): void {
  let report: BenchReport | undefined;
  const status = element(
    'p',
    { className: 'quiet', aria: { role: 'status' } },
    'The chosen cases take half a minute on a GPU, some minutes on a software driver.',
  );
  const notes = element('div', { className: 'quiet' });
  const source = element('p', { className: 'notice', hidden: true });
  const link = element('input', { type: 'text', readOnly: true });
  const linkField = field('Link', link);
  linkField.hidden = true;
  const bar = element('progress', { max: 1, value: 0, hidden: true, aria: { label: 'Progress' } });
  const table = benchTable();
  const roofline = rooflineChart();

  const clear = () => {
    report = undefined;
    table.clear();
    roofline.clear();
    notes.replaceChildren();
    linkField.hidden = true;
    source.hidden = true;
    saveButton.disabled = linkButton.disabled = true;
  };
  /** What is there at the end: rows are shown already. */
  const finish = (measured: BenchReport) => {
    report = measured;
    notes.replaceChildren(
      ...markNotes(measured.results, defaultMostSpread).map((text) => element('p', {}, text)),
    );
    status.textContent = originText(measured);
    saveButton.disabled = linkButton.disabled = !measured.results.length;
  };
  const show = (measured: BenchReport, from: string) => {
    clear();
    for (const result of measured.results) table.add(result);
    for (const failure of measured.failures ?? []) table.addFailure(failure);
    roofline.show(measured.peaks, measured.results);
    finish(measured);
    source.textContent = `${from} They were measured on: ${measured.record.machine}.`;
    source.hidden = false;
  };

  const busy = (yes: boolean) => {
    start.disabled = yes;
    stop.disabled = !yes;
    bar.hidden = !yes;
    tuning.enable(!yes);
  };
  const run = () =>
    attempt(async () => {
      clear();
      busy(true);
      status.textContent = 'measuring what this device can do at most';
      bar.value = 0;
      const started = performance.now();
      const results: BenchResult[] = [];
      let peaks: BenchReport['peaks'] | undefined;
      const tell = (event: BenchEvent) => {
        if (event.kind === 'begin') peaks = event.peaks;
        if (event.kind === 'case') {
          const { name, place, total } = event;
          const left = ((performance.now() - started) / place) * (total - place);
          bar.value = place / total;
          status.textContent =
            `measuring ${name}, ${place + 1} of ${total}` +
            (place ? `, about ${minutes(left / 1000)} left` : '');
        }
        if (event.kind === 'failure') table.addFailure(event.failure);
        if (event.kind === 'result' && peaks) {
          results.push(event.result);
          table.add(event.result);
          roofline.show(peaks, results);
        }
      };
      try {
        const request = {
          kinds: kinds.filter((_, i) => boxes[i]?.checked).map(({ kind }) => kind),
          names: names.value,
          shapes: shapes.value,
        };
        finish(await machine.bench(request, Comlink.proxy(tell)));
      } catch (error) {
        status.textContent = '';
        throw error;
      } finally {
        busy(false);
      }
    });

  const copyLink = () =>
    attempt(async () => {
      if (!report) return;
      link.value = await reportLink(report);
      linkField.hidden = false;
      link.select();
      const copied = await navigator.clipboard.writeText(link.value).then(
        () => true,
        () => false,
      );
      status.textContent =
        `${copied ? 'The link is copied' : 'Copy the link below'}. It holds the results themselves: ` +
        'nothing was sent anywhere.';
    });
  const openFile = ([file]: File[]) =>
    attempt(async () => {
      if (file) show(readReport(await file.text(), file.name), `Results of ${file.name}.`);
    });
  const openLink = async () => {
    try {
      const linked = await linkedReport();
      if (!linked) return;
      show(linked, 'Results of a link, not of this device.');
      select();
    } catch (error) {
      showProblem(error);
    }
  };

  const boxes = kinds.map(() => element('input', { type: 'checkbox', checked: true }));
  const names = element('input', { type: 'text', placeholder: 'conv3x3 /infer.*256$/', spellcheck: false });
  const shapes = element('input', {
    type: 'text',
    placeholder: 'conv2d:C=64,H=56,K=128',
    spellcheck: false,
  });
  const start = button('Run the bench', run, 'primary');
  const stop = button('Stop the bench', () => {
    stop.disabled = true;
    machine.stopBench();
  });
  const saveButton = button('Save JSON', () => {
    if (report) save('bench.json', reportText(report), 'application/json');
  });
  const linkButton = button('Copy link', copyLink);
  stop.disabled = saveButton.disabled = linkButton.disabled = true;
  const tuning = tuningView((yes) => {
    start.disabled = yes;
  });
  root.append(
    element(
      'div',
      { className: 'card' },
      element('h2', {}, 'This engine on this device'),
      element(
        'fieldset',
        { className: 'choices' },
        element('legend', {}, 'What is measured'),
        ...kinds.map(({ text, hint }, i) =>
          element('label', {}, boxes[i], element('span', {}, text, element('small', {}, hint))),
        ),
      ),
      element(
        'details',
        {},
        element('summary', {}, 'Other cases'),
        element(
          'div',
          { className: 'fields broad' },
          field('Only names with a text, or that meet a /regular expression/', names),
          field('Own shapes', shapes),
        ),
        element('p', { className: 'quiet' }, 'Both are those of the command aand bench.'),
      ),
      element(
        'div',
        { className: 'row' },
        start,
        stop,
        saveButton,
        linkButton,
        fileButton('Open results', '.json,application/json', false, openFile),
      ),
      bar,
      status,
      linkField,
      source,
      table.root,
      notes,
      roofline.root,
    ),
    tuning.root,
  );
  addEventListener('hashchange', openLink);
  openLink();
}
