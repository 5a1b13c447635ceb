/**
 * Admission: how many images are under way at once. Of more, each is refused before its body is read, so that
 * a full server reads nothing.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { HttpError } from './http_errors.ts';
import type { ServerMetrics } from './metrics.ts';

export interface AdmissionOptions {
  /** Images that are read, decoded, waited for and judged at once. */
  readonly capacity: number;
  readonly metrics: ServerMetrics;
  /** Whether the server takes no more images. */
  readonly stopping: () => boolean;
}

/** Counts the requests of all routes of `app`, which take images. */
export function limitRequests(app: FastifyInstance, options: AdmissionOptions): void {
  const { capacity, metrics, stopping } = options;
  const admitted = new Set<FastifyRequest>();
  const release = async (request: FastifyRequest) => {
    if (admitted.delete(request)) metrics.inProgress(admitted.size);
  };
  app.addHook('onRequest', async (request, reply) => {
    if (stopping()) throw new HttpError(503, 'the server stops');
    if (admitted.size >= capacity) {
      reply.header('retry-after', '1');
      throw new HttpError(429, `${admitted.size} images are under way already: ask again in a second`);
    }
    admitted.add(request);
    metrics.inProgress(admitted.size);
  });
  app.addHook('onResponse', release);
  app.addHook('onRequestAbort', release);
}
