/** The work of `aand serve`: opens the models, listens, and stops without losing a request. */
import { readBytes } from '#platform';
import { DeviceLostError } from '../base/errors.ts';
import type { DataType } from '../detector/detector.ts';
import type { Engine } from '../engine/runtime/engine.ts';
import { Hub } from '../serve/hub.ts';
import { ServerMetrics } from '../serve/metrics.ts';
import { ServedModel } from '../serve/served_model.ts';
import { InspectionServer } from '../serve/server.ts';
import { LogFile } from '../serve/sinks/log_file.ts';
import { SinkReports } from '../serve/sinks/reports.ts';
import { Webhook } from '../serve/sinks/webhook.ts';
import { interruptSignal, matrixUnitUse, withEngine } from './common.ts';
import { packageVersion } from './package.ts';
import { noteUncalibrated } from './uncalibrated.ts';

export interface ServeOptions {
  readonly port: number;
  readonly host: string;
  readonly capacity: number;
  /** MiB of an image file at most. */
  readonly maxBody: number;
  /** Seconds. */
  readonly timeout: number;
  /** Milliseconds. */
  readonly batchDelay: number;
  /** File that gets a line for each judgement. */
  readonly log?: string;
  readonly webhook?: URL;
  readonly webhookOn: 'all' | 'anomalous';
  readonly dtype: DataType;
  readonly subgroupMatrices?: boolean;
}

/** A model file and the name that it is served by. */
export interface NamedModel {
  readonly name: string;
  readonly path: string;
}

/** Opens the models one after the other; each is ready for requests then. */
async function openModels(
  engine: Engine,
  files: readonly NamedModel[],
  metrics: ServerMetrics,
  { dtype, batchDelay }: ServeOptions,
): Promise<ServedModel[]> {
  const models: ServedModel[] = [];
  for (const file of files) {
    const begun = performance.now();
    const model = await ServedModel.open(engine, await readBytes(file.path), file, {
      dtype,
      delay: batchDelay,
      onBatch: (size) => metrics.batches.observe({ model: file.name }, size),
    });
    noteUncalibrated(model.settings, file.path);
    models.push(model);
    console.error(
      `${file.name}: ${file.path}, ready in ${((performance.now() - begun) / 1000).toFixed(1)} s`,
    );
  }
  return models;
}

/** Where judgements go besides their senders. */
async function openHub(metrics: ServerMetrics, { log, webhook, webhookOn }: ServeOptions): Promise<Hub> {
  const hub = new Hub();
  const reports = new SinkReports(metrics, (text) => console.error(`note: ${text}`));
  if (log) hub.add(await LogFile.open(log, reports));
  if (webhook) hub.add(new Webhook(webhook, reports, { anomalousOnly: webhookOn === 'anomalous' }));
  return hub;
}

/** Resolves at the signal. */
function stopped(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

/** Serves models until a signal comes. */
export async function serveModels(
  files: readonly NamedModel[],
  token: string | undefined,
  options: ServeOptions,
): Promise<void> {
  const signal = interruptSignal({ SIGINT: options.timeout * 1000, SIGTERM: options.timeout * 1000 });
  await withEngine(async (engine) => {
    const metrics = new ServerMetrics();
    const hub = await openHub(metrics, options);
    // Closing the engine frees what they hold on the device.
    const models = await openModels(engine, files, metrics, options);
    const server = await InspectionServer.create({
      models,
      metrics,
      hub,
      token,
      capacity: options.capacity,
      bodyLimit: Math.round(options.maxBody * 2 ** 20),
      timeout: options.timeout * 1000,
      version: await packageVersion(),
    });
    const address = await server.listen(options.host, options.port);
    console.log(`listening on ${address}`);
    for (const { name } of models) console.log(`  POST ${address}/models/${name}/predict`);
    console.log(`  ${address}/ shows images as they are judged; ${address}/openapi.json describes the rest`);
    const lost = await Promise.race([stopped(signal).then(() => undefined), engine.ended]);
    await server.stop();
    if (lost instanceof DeviceLostError) throw lost;
  }, matrixUnitUse(options));
}
