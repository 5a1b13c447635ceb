/** Judges images, whoever brings them, and tells everybody who wants to know. */
import type { Hub } from './hub.ts';
import { type Judgement, judgementOf } from './judgement.ts';
import type { ServerMetrics } from './metrics.ts';
import { type Pictured, thumbnailOf } from './pictures.ts';
import { Places } from './places.ts';
import type { ServedModel } from './served_model.ts';

export interface InspectorOptions {
  readonly models: readonly ServedModel[];
  readonly metrics: ServerMetrics;
  readonly hub: Hub;
  /** Images that are read, decoded, waited for and judged at once. */
  readonly capacity: number;
}

/** What requests and sources share: the models, the places, the way to the sinks. */
export class Inspector {
  readonly models: ReadonlyMap<string, ServedModel>;
  readonly places: Places;
  readonly metrics: ServerMetrics;
  readonly #hub: Hub;

  constructor({ models, metrics, hub, capacity }: InspectorOptions) {
    this.models = new Map(models.map((model) => [model.name, model]));
    this.places = new Places(capacity, metrics);
    this.metrics = metrics;
    this.#hub = hub;
  }

  /**
   * Judges an image. The caller holds a place for it.
   *
   * @param name what its sender calls it
   * @throws InvalidImageError, NotFiniteError, DeviceLostError, the signal's reason
   */
  async judge(
    model: ServedModel,
    bytes: Uint8Array,
    name: string | null,
    signal: AbortSignal,
  ): Promise<Pictured & { readonly judgement: Judgement }> {
    const begun = performance.now();
    const sized = await model.predict(bytes, name ?? 'the image', signal);
    const { width, height, prediction } = sized;
    const milliseconds = performance.now() - begun;
    const judgement = judgementOf(prediction, model.scale, {
      model: model.name,
      name,
      width,
      height,
      milliseconds: Number(milliseconds.toFixed(2)),
      drift: model.drift ?? null,
    });
    const { metrics } = this;
    metrics.drifted(model.name, model.drift !== undefined);
    metrics.seconds.observe({ model: model.name }, milliseconds / 1000);
    metrics.verdicts.inc({ model: model.name, verdict: judgement.pred_label ?? 'none' });
    const pictured = { ...sized, bytes, scale: model.scale };
    this.#hub.publish({ judgement, thumbnail: () => thumbnailOf(pictured) });
    return { ...pictured, judgement };
  }
}
