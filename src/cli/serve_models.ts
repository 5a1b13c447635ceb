/** The work of `aand serve`: opens the models, listens, and stops without losing a request. */
import { exists, readBytes } from '#platform';
import { DeviceLostError } from '../base/errors.ts';
import type { DataType } from '../detector/detector.ts';
import type { Engine } from '../engine/runtime/engine.ts';
import type { MarkRule } from '../eval/marks.ts';
import { Hub } from '../serve/hub.ts';
import { ServerMetrics } from '../serve/metrics.ts';
import { ServedModel } from '../serve/served_model.ts';
import { InspectionServer } from '../serve/server.ts';
import { LogFile } from '../serve/sinks/log_file.ts';
import { type MqttOptions, MqttSink } from '../serve/sinks/mqtt.ts';
import { SinkReports } from '../serve/sinks/reports.ts';
import { Webhook } from '../serve/sinks/webhook.ts';
import { Camera, checkFfmpeg } from '../serve/sources/camera.ts';
import { WatchedFolder } from '../serve/sources/watched_folder.ts';
import { interruptSignal, matrixUnitUse, withEngine } from './common.ts';
import { packageVersion } from './package.ts';
import type { NamedSource, SourceCommandOptions } from './source_options.ts';
import { note } from './style.ts';
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
  readonly marks?: MarkRule;
  readonly subgroupMatrices?: boolean;
}

/** The options with what was read and checked for them. */
export interface ServeRequest
  extends Omit<ServeOptions, 'mqtt'>,
    Pick<SourceCommandOptions, 'watchMove' | 'watchSettle' | 'watchPoll' | 'interval'> {
  readonly token: string | undefined;
  readonly mqtt: MqttOptions | undefined;
  readonly folders: readonly NamedSource[];
  readonly cameras: readonly NamedSource[];
}

/** A model file and the name that it is served by. */
export interface NamedModel {
  readonly name: string;
  readonly path: string;
}

const ffmpeg = process.env.AAND_FFMPEG || 'ffmpeg';

/** Opens the models one after the other; each is ready for requests then. */
async function openModels(
  engine: Engine,
  files: readonly NamedModel[],
  metrics: ServerMetrics,
  { dtype, marks, batchDelay }: ServeRequest,
): Promise<ServedModel[]> {
  const models: ServedModel[] = [];
  for (const file of files) {
    const begun = performance.now();
    const model = await ServedModel.open(engine, await readBytes(file.path), file, {
      dtype,
      marks,
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
async function openHub(
  metrics: ServerMetrics,
  { log, webhook, webhookOn, mqtt }: ServeRequest,
): Promise<Hub> {
  const hub = new Hub();
  const reports = new SinkReports(metrics, note);
  if (log) hub.add(await LogFile.open(log, reports));
  if (webhook) hub.add(new Webhook(webhook, reports, { anomalousOnly: webhookOn === 'anomalous' }));
  if (mqtt) hub.add(new MqttSink(mqtt, reports));
  return hub;
}

/** Begins to judge what folders and cameras bring. */
async function openSources(server: InspectionServer, request: ServeRequest): Promise<void> {
  const { inspector } = server;
  const { folders, cameras, watchMove, watchSettle, watchPoll, maxBody, timeout, interval } = request;
  const modelOf = ({ model }: NamedSource) => {
    const [first] = inspector.models.values();
    return (model === undefined ? first : inspector.models.get(model)) as ServedModel;
  };
  for (const named of folders) {
    const source = await WatchedFolder.open(named.source, {
      model: modelOf(named),
      inspector,
      moveTo: watchMove,
      settle: watchSettle,
      poll: watchPoll,
      largest: Math.round(maxBody * 2 ** 20),
      timeout: timeout * 1000,
      onNote: note,
    });
    server.addSource(source);
    console.log(`  watching ${source.name} (${modelOf(named).name})`);
  }
  for (const named of cameras) {
    const source = new Camera(named.source, {
      model: modelOf(named),
      inspector,
      interval,
      timeout: timeout * 1000,
      ffmpeg,
      onNote: note,
    });
    server.addSource(source);
    console.log(`  camera ${source.name} (${modelOf(named).name})`);
  }
}

/** Resolves at the signal. */
function stopped(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

/** Serves models until a signal comes. */
export async function serveModels(files: readonly NamedModel[], request: ServeRequest): Promise<void> {
  const milliseconds = request.timeout * 1000;
  const signal = interruptSignal({ SIGINT: milliseconds, SIGTERM: milliseconds });
  if (request.cameras.length) await checkFfmpeg(ffmpeg);
  for (const { source } of request.folders)
    if ((await exists(source)) !== 'folder') throw new Error(`${source}: there is no such folder to watch`);
  await withEngine(async (engine) => {
    const metrics = new ServerMetrics();
    const hub = await openHub(metrics, request);
    try {
      await serveOn(engine, files, { metrics, hub, signal }, request);
    } finally {
      // Its connections would keep the process alive where a model cannot be opened.
      await hub.close();
    }
  }, matrixUnitUse(request));
}

/** Serves models with an engine until a signal comes or the device goes. */
async function serveOn(
  engine: Engine,
  files: readonly NamedModel[],
  { metrics, hub, signal }: { metrics: ServerMetrics; hub: Hub; signal: AbortSignal },
  request: ServeRequest,
): Promise<void> {
  // Closing the engine frees what they hold on the device.
  const models = await openModels(engine, files, metrics, request);
  const server = await InspectionServer.create({
    models,
    metrics,
    hub,
    token: request.token,
    capacity: request.capacity,
    bodyLimit: Math.round(request.maxBody * 2 ** 20),
    timeout: request.timeout * 1000,
    version: packageVersion(),
  });
  let lost: unknown;
  try {
    const address = await server.listen(request.host, request.port);
    console.log(`listening on ${address}`);
    for (const { name } of models) console.log(`  POST ${address}/models/${name}/predict`);
    console.log(`  ${address}/ shows images as they are judged; ${address}/openapi.json describes the rest`);
    await openSources(server, request);
    lost = await Promise.race([stopped(signal).then(() => undefined), engine.ended]);
  } finally {
    await server.stop();
  }
  if (lost instanceof DeviceLostError) throw lost;
}
