/** Admission: a request beyond the places is refused before its body is read; a full server reads nothing. */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { HttpError } from './http_errors.ts';
import type { Places } from './places.ts';

/**
 * Gives each request of the routes of `app`, which take images, a place.
 *
 * @param stopping whether the server takes no more images
 */
export function limitRequests(app: FastifyInstance, places: Places, stopping: () => boolean): void {
  const admitted = new Set<FastifyRequest>();
  const release = async (request: FastifyRequest) => {
    if (admitted.delete(request)) places.give();
  };
  app.addHook('onRequest', async (request, reply) => {
    if (stopping()) throw new HttpError(503, 'the server stops');
    if (!places.tryTake()) {
      reply.header('retry-after', '1');
      throw new HttpError(429, `${places.taken} images are under way already: ask again in a second`);
    }
    admitted.add(request);
  });
  app.addHook('onResponse', release);
  app.addHook('onRequestAbort', release);
}
