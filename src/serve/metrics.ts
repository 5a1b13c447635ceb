/** What a server counts, for Prometheus. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

/** The counters of one server. */
export class ServerMetrics {
  readonly registry = new Registry();
  /** Answers of the routes that take images, by model and HTTP status. */
  readonly answers = this.#counter('aand_answers_total', 'answers to images', ['model', 'status']);
  /** Judged images by model and verdict: good, anomalous, or none without a threshold. */
  readonly verdicts = this.#counter('aand_verdicts_total', 'judged images', ['model', 'verdict']);
  /** Seconds from the whole image being there to the answer. */
  readonly seconds = new Histogram({
    name: 'aand_judgement_seconds',
    help: 'seconds from the whole image being there to the answer',
    labelNames: ['model'],
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers: [this.registry],
  });
  /** Images of the runs on the device. */
  readonly batches = new Histogram({
    name: 'aand_batch_images',
    help: 'images of a run on the device',
    labelNames: ['model'],
    buckets: [1, 8],
    registers: [this.registry],
  });
  readonly #drift = new Gauge({
    name: 'aand_drift',
    help: '1 where the scores of a model have left those of its calibration',
    labelNames: ['model'],
    registers: [this.registry],
  });
  readonly #requests = this.#gauge(
    'aand_requests_in_progress',
    'images that were accepted and are under way',
  );
  readonly #sourceImages = this.#counter('aand_source_images_total', 'images of a source', [
    'source',
    'outcome',
  ]);
  readonly #sinkLosses = this.#counter('aand_sink_failures_total', 'results that a sink gave up', ['sink']);

  constructor() {
    collectDefaultMetrics({ register: this.registry });
  }

  /** Images that are under way. */
  inProgress(count: number): void {
    this.#requests.set(count);
  }

  /** Whether the scores of a model have left those of its calibration. */
  drifted(model: string, has: boolean): void {
    this.#drift.set({ model }, has ? 1 : 0);
  }

  /** A source's image was judged, could not be, or was dropped because a newer one came. */
  sourceImage(source: string, outcome: 'judged' | 'failed' | 'dropped'): void {
    this.#sourceImages.inc({ source, outcome });
  }

  /** A sink has given up results. */
  sinkFailed(sink: string, count: number): void {
    this.#sinkLosses.inc({ sink }, count);
  }

  #counter<L extends string>(name: string, help: string, labelNames: L[]): Counter<L> {
    return new Counter({ name, help, labelNames, registers: [this.registry] });
  }

  #gauge(name: string, help: string): Gauge {
    return new Gauge({ name, help, registers: [this.registry] });
  }
}
