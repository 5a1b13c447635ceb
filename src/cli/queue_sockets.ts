/**
 * The sockets of all connections to a broker. A broker that stands still takes connections and never ends
 * them, and one socket that is left open keeps a process alive that has nothing left to do.
 */
import { connect as connectPlain, type NetConnectOpts, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectSecure } from 'node:tls';
import type { RedisOptions } from 'ioredis';

export interface Sockets {
  /** For every client of Redis, also those that a library makes. */
  readonly Connector: NonNullable<RedisOptions['Connector']>;
  /** Destroys what is open; nothing connects any more. */
  destroy(): void;
}

const missing = () => {
  throw new Error('the queue needs BullMQ and a Redis client: npm install bullmq ioredis');
};

export const loadRedis = (): Promise<typeof import('ioredis')> => import('ioredis').catch(missing);

export const loadBullMq = (): Promise<typeof import('bullmq')> => import('bullmq').catch(missing);

/** @param tls where the broker is reached over TLS */
export async function openSockets(
  address: NetConnectOpts,
  tls: ConnectionOptions | undefined,
): Promise<Sockets> {
  const { AbstractConnector } = await loadRedis();
  const open = new Set<Socket>();
  let over = false;
  const disconnectMilliseconds = 2000;

  class Connector extends AbstractConnector {
    constructor() {
      super(disconnectMilliseconds);
    }

    async connect(): Promise<Socket> {
      this.connecting = true;
      // A client that is ended at once has asked for no socket.
      await null;
      if (over || !this.connecting) throw new Error('Connection is closed.');
      const socket = tls ? connectSecure({ ...address, ...tls }) : connectPlain(address);
      open.add(socket);
      socket.once('close', () => open.delete(socket));
      socket.once('error', (error) => {
        this.firstError = error;
      });
      this.stream = socket;
      return socket;
    }
  }

  return {
    Connector,
    destroy() {
      over = true;
      for (const socket of open) socket.destroy();
    },
  };
}
