/**
 * Keeps the page's own files, so that it works without a connection after the first visit. An origin may hold
 * other pages, other copies of this one among them: nothing but this copy's files is answered, kept or
 * deleted.
 */
import { packagedBackbones, packagedTeacherFile } from '../src/weights/packaged.ts';

/** Set by the build: changes with every file. */
declare const BUILD: string;

interface ExtendableEvent extends Event {
  waitUntil(work: Promise<unknown>): void;
}
interface FetchEvent extends ExtendableEvent {
  readonly request: Request;
  respondWith(answer: Promise<Response>): void;
}
interface ServiceWorkerScope {
  readonly registration: { readonly scope: string };
  skipWaiting(): Promise<void>;
  readonly clients: { claim(): Promise<void> };
  addEventListener(type: 'install' | 'activate', listener: (event: ExtendableEvent) => void): void;
  addEventListener(type: 'fetch', listener: (event: FetchEvent) => void): void;
}

// TypeScript's DOM types know pages, not service workers.
const scope = self as unknown as ServiceWorkerScope;
const home = scope.registration.scope;
// The path as one word; the sign that ends it is left out.
const cachePrefix = `aand-${encodeURIComponent(new URL(home).pathname)}@`;
const cacheName = `${cachePrefix}${BUILD}`;
const needed = [
  './',
  'main.js',
  'machine.js',
  'style.css',
  'icon.svg',
  ...packagedBackbones.map(packagedTeacherFile),
];
// Kept once it was asked for, as the demo is: not every copy of the page has one.
const ownFiles = new Set([...needed, 'index.html'].map((file) => new URL(file, home).href));
const demo = new URL('demo/', home).href;

scope.addEventListener('install', (event) => {
  event.waitUntil(
    caches
      .open(cacheName)
      .then((cache) => cache.addAll(needed))
      .then(() => scope.skipWaiting()),
  );
});

/**
 * Caches of earlier builds of this copy. The first ones carried no path: what they hold tells whose they are.
 */
async function isOutdated(key: string): Promise<boolean> {
  if (key === cacheName) return false;
  if (key.startsWith(cachePrefix)) return true;
  return /^aand-[0-9a-f]{12}$/.test(key) && (await (await caches.open(key)).match(home)) !== undefined;
}

scope.addEventListener('activate', (event) => {
  const clean = async () => {
    for (const key of await caches.keys()) if (await isOutdated(key)) await caches.delete(key);
    await scope.clients.claim();
  };
  event.waitUntil(clean());
});

async function answer(request: Request): Promise<Response> {
  const cache = await caches.open(cacheName);
  const kept = await cache.match(request, { ignoreSearch: true });
  if (kept) return kept;
  const fresh = await fetch(request);
  if (fresh.ok) await cache.put(request, fresh.clone());
  return fresh;
}

scope.addEventListener('fetch', (event) => {
  const { origin, pathname } = new URL(event.request.url);
  const address = origin + pathname;
  if (event.request.method === 'GET' && (ownFiles.has(address) || address.startsWith(demo)))
    event.respondWith(answer(event.request));
});
