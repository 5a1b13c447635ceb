/** Routes that say nothing of products: everybody may ask for them. */
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { packageRoot } from '#platform';
import { HttpError } from './http_errors.ts';

const files: Readonly<Record<string, readonly [file: string, type: string]>> = {
  '/': ['live.html', 'text/html; charset=utf-8'],
  '/live.js': ['live.js', 'text/javascript; charset=utf-8'],
  '/style.css': ['style.css', 'text/css; charset=utf-8'],
  '/icon.svg': ['icon.svg', 'image/svg+xml'],
};

/**
 * The live page, health, readiness and the OpenAPI document.
 *
 * @param stopping whether the server takes no more images
 */
export function addOpenRoutes(app: FastifyInstance, stopping: () => boolean): void {
  const hidden = { schema: { hide: true } };
  for (const [url, [file, type]] of Object.entries(files))
    app.get(url, hidden, (_, reply) =>
      reply
        .header(
          'content-security-policy',
          "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
            "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        )
        .type(type)
        .send(createReadStream(join(packageRoot(), 'dist/app', file))),
    );
  const state = (summary: string, description: string) => ({
    schema: {
      summary,
      security: [],
      response: { 200: { description, type: 'object', properties: { status: { type: 'string' } } } },
    },
  });
  app.get('/health', state('whether the process runs', 'it does'), async () => ({ status: 'ok' }));
  app.get('/ready', state('whether images are taken', 'they are; 503 while the server stops'), async () => {
    if (stopping()) throw new HttpError(503, 'the server stops');
    return { status: 'ready' };
  });
  app.get('/openapi.json', hidden, async () => app.swagger());
}
