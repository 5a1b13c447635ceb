/** The HTTP server: image files in, judgements out. docs/serving.md describes its routes. */
import swagger from '@fastify/swagger';
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { inspectedShare } from '../data/region.ts';
import { mayAsk } from './access.ts';
import { limitRequests } from './admission.ts';
import { HttpError, statusOf } from './http_errors.ts';
import type { Hub } from './hub.ts';
import { Inspector } from './inspector.ts';
import { LiveReaders } from './live.ts';
import type { ServerMetrics } from './metrics.ts';
import { addOpenRoutes } from './open_routes.ts';
import { pngOf } from './pictures.ts';
import {
  errorSchema,
  failures,
  judgementSchema,
  modelSchema,
  type PictureKind,
  predictQuery,
} from './schemas.ts';
import type { ServedModel } from './served_model.ts';
import type { Source } from './sources/source.ts';

export interface ServerOptions {
  readonly models: readonly ServedModel[];
  readonly metrics: ServerMetrics;
  readonly hub: Hub;
  /** Everybody may ask where it is left out. */
  readonly token?: string | undefined;
  /** Images that are read, decoded, waited for and judged at once; of more, each is answered with 429. */
  readonly capacity: number;
  /** Bytes of an image file at most. */
  readonly bodyLimit: number;
  /** How long an image may take from its whole file being there, in milliseconds. */
  readonly timeout: number;
  readonly version: string;
}

/** Pixels a side that the inspected share of a model is counted at. */
const regionSide = 512;

interface Predict {
  Params: { readonly model?: string };
  Querystring: { readonly name?: string; readonly picture: PictureKind };
  Body: Buffer | undefined;
}

/** A server of models. It listens when {@link InspectionServer.listen} is called. */
export class InspectionServer {
  readonly #options: ServerOptions;
  readonly #app: FastifyInstance;
  /** Judges what requests and sources bring. */
  readonly inspector: Inspector;
  readonly #live = new LiveReaders();
  readonly #sources: Source[] = [];
  #stopping = false;

  private constructor(options: ServerOptions, app: FastifyInstance) {
    this.#options = options;
    this.#app = app;
    this.inspector = new Inspector(options);
    options.hub.add(this.#live);
  }

  /** A server whose routes are there. */
  static async create(options: ServerOptions): Promise<InspectionServer> {
    const app = Fastify({
      bodyLimit: options.bodyLimit,
      forceCloseConnections: 'idle',
      // A query value that is misspelled is an error, and not left out.
      ajv: { customOptions: { removeAdditional: false } },
      routerOptions: { maxParamLength: 200 },
    });
    const server = new InspectionServer(options, app);
    await server.#addRoutes();
    return server;
  }

  /**
   * Begins to listen.
   *
   * @param port 0: any that is free
   * @returns the address, such as http://127.0.0.1:8080
   * @throws Error where the port is taken, or may not be used
   */
  listen(host: string, port: number): Promise<string> {
    return this.#app.listen({ host, port });
  }

  /** The OpenAPI document. */
  get openApi(): object {
    return this.#app.swagger();
  }

  /** Closes a source before the sinks, when the server stops. */
  addSource(source: Source): void {
    this.#sources.push(source);
  }

  /** Takes no more images, answers for those that were accepted, and hands their results to the sinks. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#live.close();
    await Promise.all([this.#app.close(), ...this.#sources.map((source) => source.close())]);
    await this.#options.hub.close();
  }

  async #addRoutes(): Promise<void> {
    const app = this.#app;
    await app.register(swagger, {
      openapi: {
        openapi: '3.1.0',
        info: {
          title: 'AAND inspection',
          description: 'Judges photographs of a product: good, or anomalous and where.',
          version: this.#options.version,
        },
        ...(this.#options.token !== undefined && { security: [{ bearer: [] }] }),
        components: { securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } } },
      },
      refResolver: { buildLocalReference: ({ $id }, _base, _fragment, i) => `${$id ?? `schema${i}`}` },
    });
    for (const schema of [judgementSchema, errorSchema, modelSchema]) app.addSchema(schema);
    app.setErrorHandler((error, request, reply) => this.#answerError(error, request, reply));
    // A connection that was busy when the server stopped would else be held open by its client.
    app.addHook('onSend', async (_, reply) => {
      if (this.#stopping) reply.header('connection', 'close');
    });
    app.setNotFoundHandler((request, reply) =>
      reply.code(404).send({ error: `there is no ${request.method} ${request.url}: see /openapi.json` }),
    );
    // A body is the bytes of an image file, whatever the sender calls its type.
    app.removeAllContentTypeParsers();
    app.addContentTypeParser('*', { parseAs: 'buffer' }, (request, body, done) => {
      if (/^multipart\//i.test(request.headers['content-type'] ?? ''))
        done(new HttpError(415, 'send the bytes of the image file as the body (curl --data-binary @FILE)'));
      else done(null, body);
    });
    addOpenRoutes(app, () => this.#stopping);
    app.register(async (guarded) => {
      guarded.addHook('onRequest', async (request, reply) => {
        if (mayAsk(request.headers.authorization, this.#options.token)) return;
        reply.header('www-authenticate', 'Bearer');
        throw new HttpError(401, 'the bearer token is missing or wrong: send "authorization: Bearer TOKEN"');
      });
      this.#addGuardedRoutes(guarded);
      guarded.register(async (images) => this.#addPredictRoutes(images));
    });
    await app.ready();
  }

  #addGuardedRoutes(app: FastifyInstance): void {
    app.get(
      '/models',
      {
        schema: {
          summary: 'the models that are served',
          response: {
            200: { description: 'the models', type: 'array', items: { $ref: 'Model#' } },
            401: failures[401],
          },
        },
      },
      async () =>
        [...this.inspector.models.values()].map(
          ({ name, drift, settings: { imageSize, mode, backbone, image, region } }) => ({
            name,
            image_size: imageSize,
            mode,
            backbone,
            threshold: image?.threshold ?? null,
            inspected: region ? inspectedShare(region, regionSide) : 1,
            drift: drift ?? null,
          }),
        ),
    );
    app.delete<{ Params: { readonly model: string } }>(
      '/models/:model/drift',
      {
        schema: {
          summary: 'watches the scores of a model anew, after somebody has looked at light and camera',
          response: { 204: { description: 'done', type: 'null' }, 401: failures[401], 404: failures[404] },
        },
      },
      async ({ params }, reply) => {
        this.#model(params.model).resetDrift();
        this.#options.metrics.drifted(params.model, false);
        return reply.code(204).send();
      },
    );
    app.get('/metrics', { schema: { hide: true } }, async (_, reply) => {
      const { registry } = this.#options.metrics;
      return reply.type(registry.contentType).send(await registry.metrics());
    });
    app.get('/events', { schema: { hide: true } }, (_, reply) => {
      reply.hijack();
      if (this.#stopping) reply.raw.end();
      else this.#live.add(reply.raw);
    });
  }

  #addPredictRoutes(app: FastifyInstance): void {
    const { metrics, models, places } = this.inspector;
    limitRequests(app, places, () => this.#stopping);
    app.addHook('onResponse', async (request, { statusCode }) => {
      const { model = [...models.keys()][0] as string } = request.params as Predict['Params'];
      // Names that senders make up are no labels.
      metrics.answers.inc({ model: models.has(model) ? model : 'unknown', status: statusCode });
    });
    const schema = {
      summary: 'judges an image',
      description: 'The body is the image file: PNG, JPEG, BMP, WebP or TIFF.',
      consumes: ['application/octet-stream', 'image/*'],
      querystring: predictQuery,
      response: {
        200: {
          description:
            'the judgement; with "accept: image/png" the picture alone, and the verdict in headers',
          content: {
            'application/json': { schema: { $ref: 'Judgement#' } },
            'image/png': { schema: { type: 'string', format: 'binary' } },
          },
        },
        ...failures,
      },
    };
    const answer = (request: FastifyRequest<Predict>, reply: FastifyReply) => this.#predict(request, reply);
    app.post<Predict>('/models/:model/predict', { schema }, answer);
    if (models.size === 1)
      app.post<Predict>(
        '/predict',
        { schema: { ...schema, summary: 'judges an image by the one model that is served' } },
        answer,
      );
  }

  #model(name: string | undefined): ServedModel {
    const { models } = this.inspector;
    const model = name === undefined ? [...models.values()][0] : models.get(name);
    if (model) return model;
    throw new HttpError(404, `no model is called ${name}; there are ${[...models.keys()].join(', ')}`);
  }

  async #predict(request: FastifyRequest<Predict>, reply: FastifyReply): Promise<unknown> {
    const { query, body, headers } = request;
    const model = this.#model(request.params.model);
    if (!body?.length) throw new HttpError(400, 'the body is empty: send the bytes of an image file');
    const gone = new AbortController();
    reply.raw.once('close', () => gone.abort(new HttpError(499, 'the sender has gone')));
    const late = setTimeout(
      () => gone.abort(new HttpError(503, `the image took more than ${this.#options.timeout} ms`)),
      this.#options.timeout,
    );
    try {
      const pictured = await this.inspector.judge(model, body, query.name ?? null, gone.signal);
      const wantsPng = /^image\/png\b/i.test(headers.accept ?? '');
      const kind = query.picture === 'none' && wantsPng ? 'overlay' : query.picture;
      if (kind === 'none') return pictured.judgement;
      const png = await pngOf(kind, pictured);
      if (!wantsPng)
        return {
          ...pictured.judgement,
          picture: `data:image/png;base64,${Buffer.from(png).toString('base64')}`,
        };
      const { raw_score, pred_score, pred_label } = pictured.judgement;
      return await reply
        .headers({
          'x-raw-score': `${raw_score}`,
          'x-pred-score': `${pred_score}`,
          'x-pred-label': `${pred_label}`,
        })
        .type('image/png')
        .send(png);
    } finally {
      clearTimeout(late);
    }
  }

  #answerError(error: unknown, _: FastifyRequest, reply: FastifyReply): FastifyReply {
    const status = statusOf(error);
    if (status === 503) reply.header('retry-after', '1');
    return reply.code(status).send({ error: (error as Error).message });
  }
}
