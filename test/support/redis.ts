/** A real redis-server for tests, also with users or over TLS with certificates made on the spot. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { useFolder } from './command.ts';

export function hasRedis(): boolean {
  try {
    execFileSync('redis-server', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    console.warn(
      'skipped: no redis-server on this machine (Debian: redis-server), so the queue is not tested',
    );
    return false;
  }
}

export function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

/** Starts a server without persistence, and waits until it answers. */
export async function startRedis(folder: string, port: number, ...more: string[]): Promise<ChildProcess> {
  const args = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--dir', folder, ...more];
  const server = spawn('redis-server', args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  await new Promise<void>((ready, failed) => {
    const hear = (data: Buffer) => {
      said += data;
      if (said.includes('Ready to accept connections')) ready();
    };
    server.stdout.on('data', hear);
    server.stderr.on('data', hear);
    server.once('exit', (code) => failed(new Error(`redis-server ended with ${code}: ${said}`)));
  });
  return server;
}

/** A server for the tests of a suite, without password. */
export function useRedis(): { readonly url: string } {
  const folder = useFolder();
  const redis = { url: '' };
  let server: ChildProcess | undefined;
  beforeAll(async () => {
    const port = await freePort();
    server = await startRedis(folder, port);
    redis.url = `redis://127.0.0.1:${port}`;
  });
  afterAll(() => {
    server?.kill('SIGKILL');
  });
  return redis;
}

export interface Certificates {
  readonly ca: string;
  /** An authority that signed nothing here. */
  readonly otherCa: string;
  /** Arguments of redis-server. */
  readonly server: readonly string[];
  readonly clientCert: string;
  readonly clientKey: string;
}

/** An authority, a server's certificate for 127.0.0.1 and a client's, by openssl. */
export function makeCertificates(folder: string): Certificates {
  mkdirSync(folder, { recursive: true });
  const at = (name: string) => join(folder, name);
  const openssl = (...args: string[]) => execFileSync('openssl', args, { stdio: 'pipe' });
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  for (const name of ['ca', 'other'])
    openssl(
      'req',
      '-x509',
      ...key,
      '-keyout',
      at(`${name}.key`),
      '-out',
      at(`${name}.crt`),
      '-days',
      '2',
      '-subj',
      `/CN=${name}`,
    );
  writeFileSync(at('names'), 'subjectAltName=IP:127.0.0.1\n');
  for (const name of ['server', 'client']) {
    openssl('req', ...key, '-keyout', at(`${name}.key`), '-out', at(`${name}.csr`), '-subj', `/CN=${name}`);
    const by = [
      '-CA',
      at('ca.crt'),
      '-CAkey',
      at('ca.key'),
      '-CAcreateserial',
      '-days',
      '2',
      '-extfile',
      at('names'),
    ];
    openssl('x509', '-req', '-in', at(`${name}.csr`), ...by, '-out', at(`${name}.crt`));
  }
  return {
    ca: at('ca.crt'),
    otherCa: at('other.crt'),
    server: [
      '--tls-cert-file',
      at('server.crt'),
      '--tls-key-file',
      at('server.key'),
      '--tls-ca-cert-file',
      at('ca.crt'),
    ],
    clientCert: at('client.crt'),
    clientKey: at('client.key'),
  };
}
