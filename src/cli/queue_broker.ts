/**
 * The broker of the queue: where it is, how it is reached, and the watch over it. Its password never gets
 * into a message.
 */
import { readFile } from 'node:fs/promises';
import { setTimeout as wait } from 'node:timers/promises';
import { type Command, Option } from 'commander';
import { UsageError } from './common.ts';
import { wholeNumber } from './options.ts';
import { loadRedis, openSockets, type Sockets } from './queue_sockets.ts';
import { note } from './style.ts';

/** Options of the commands that use a queue. */
export interface QueueOptions {
  readonly queue: string;
  readonly queueCa?: string;
  readonly queueCert?: string;
  readonly queueKey?: string;
  /** Seconds that a broker may be silent. */
  readonly queueWait: number;
}

/** `--queue` and what belongs to it; docs/queue.md says what they mean. */
export function addQueueOptions(command: Command, purpose: string, needed: boolean): Command {
  return command
    .addOption(
      new Option(
        '--queue <url>',
        `${purpose}: redis://host:6379, or rediss:// over TLS; better in AAND_QUEUE`,
      )
        .env('AAND_QUEUE')
        .makeOptionMandatory(needed),
    )
    .addOption(
      new Option('--queue-ca <file>', 'certificate of the authority that the broker is trusted by').env(
        'AAND_QUEUE_CA',
      ),
    )
    .addOption(
      new Option('--queue-cert <file>', 'own certificate, where the broker asks for one').env(
        'AAND_QUEUE_CERT',
      ),
    )
    .addOption(new Option('--queue-key <file>', 'key of the own certificate').env('AAND_QUEUE_KEY'))
    .option(
      '--queue-wait <seconds>',
      'how long a broker that is away is waited for',
      wholeNumber(1, 86_400),
      60,
    );
}

/** Where the broker is. */
interface Place {
  readonly host: string;
  readonly port: number;
  readonly tls?: Certificates;
}

/** What a client of Redis needs to know of the address. */
interface Address extends Place {
  readonly username?: string;
  readonly password?: string;
  readonly db?: number;
  readonly Connector: Sockets['Connector'];
  readonly connectTimeout: number;
}

interface Certificates {
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
}

const pingMilliseconds = 2000;
const answerMilliseconds = 5000;
const contactMilliseconds = 10_000;

const reason = (error: unknown) => (error as Error).message.split('\n')[0] ?? '';

const isUntrusted = (text: string) => /certificate|self.signed|altname/i.test(text);

/** A text of others on one line, without what moves a terminal's cursor. */
export function plainText(text: string, most = 500): string {
  return text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, ' ').slice(0, most);
}

export class Broker {
  /** The address without its password. */
  readonly shown: string;
  readonly #address: Address;
  readonly #secrets: readonly string[];
  readonly #patience: number;
  readonly #sockets: Sockets;
  #closed = false;
  #away = false;
  #watching: { ping(): Promise<unknown> } | undefined;

  private constructor(url: URL, place: Place, sockets: Sockets, waitSeconds: number) {
    const [user, password] = [url.username, url.password].map(decodeURIComponent) as [string, string];
    this.#secrets = [...new Set([password, url.password])]
      .filter(Boolean)
      .sort((a, b) => b.length - a.length);
    const name = password && user ? `${url.username}:***@` : password ? ':***@' : user ? '***@' : '';
    this.shown = `${url.protocol}//${name}${url.host}${url.pathname === '/' ? '' : url.pathname}`;
    this.#patience = waitSeconds * 1000;
    this.#sockets = sockets;
    this.#address = {
      ...place,
      ...(user && { username: user }),
      ...(password && { password }),
      ...(url.pathname.length > 1 && { db: Number(url.pathname.slice(1)) }),
      Connector: sockets.Connector,
      connectTimeout: answerMilliseconds,
    };
  }

  /**
   * @throws UsageError where the address or its certificates cannot be used; the address is not repeated, for
   *   it may hold a password
   */
  static async at({ queue, queueCa, queueCert, queueKey, queueWait }: QueueOptions): Promise<Broker> {
    const url = URL.canParse(queue) ? new URL(queue) : undefined;
    const isRedis = url !== undefined && /^rediss?:$/.test(url.protocol) && url.hostname !== '';
    if (!url || !isRedis || !/^(\/\d*)?$/.test(url.pathname) || url.search || url.hash)
      throw new UsageError(
        '--queue (or AAND_QUEUE) must be an address such as redis://host:6379, ' +
          'rediss://user:password@host:6379 or redis://host/2',
      );
    const secure = url.protocol === 'rediss:';
    if (!secure && (queueCa || queueCert || queueKey))
      throw new UsageError(
        '--queue-ca, --queue-cert and --queue-key need an address that begins with rediss://',
      );
    if (!queueCert !== !queueKey) throw new UsageError('--queue-cert and --queue-key belong together');
    const read = async (path: string, option: string) =>
      readFile(path).catch((error) => {
        throw new UsageError(`${option}: ${reason(error)}`);
      });
    const tls = secure
      ? {
          ...(queueCa && { ca: await read(queueCa, '--queue-ca') }),
          ...(queueCert && { cert: await read(queueCert, '--queue-cert') }),
          ...(queueKey && { key: await read(queueKey, '--queue-key') }),
        }
      : undefined;
    const place = { host: url.hostname.replace(/^\[|\]$/g, ''), port: Number(url.port || 6379) };
    const sockets = await openSockets(place, tls);
    return new Broker(url, { ...place, ...(tls && { tls }) }, sockets, queueWait);
  }

  /** Whether the watch has found that it does not answer. */
  get away(): boolean {
    return this.#away;
  }

  /** Asks it now, by the connection of the watch; what does not answer counts as away. */
  async answers(): Promise<boolean> {
    try {
      await this.#watching?.ping();
    } catch {
      this.#away = true;
    }
    return !this.#away;
  }

  /** A message of others without the password, on one line. */
  hide(text: string): string {
    return plainText(this.#secrets.reduce((hidden, secret) => hidden.replaceAll(secret, '***'), text));
  }

  /** Options of a connection that comes again until the broker is closed. */
  get connection() {
    return {
      ...this.#address,
      maxRetriesPerRequest: null,
      retryStrategy: () => (this.#closed ? null : 1000),
    };
  }

  /**
   * A first contact without retries: an unreachable broker is an error with a name, not a silent wait.
   *
   * @throws Error where nobody answers, or the broker lets nobody in
   */
  async reach(): Promise<void> {
    const { Redis } = await loadRedis();
    const redis = new Redis({ ...this.#address, lazyConnect: true, retryStrategy: () => null });
    let heard = '';
    redis.on('error', (error) => {
      heard = reason(error);
    });
    const timer = new AbortController();
    // A server that takes connections and says nothing would never be an error.
    const silence = wait(contactMilliseconds, undefined, { signal: timer.signal }).then(() => {
      throw new Error(`it takes connections, and has said nothing for ${contactMilliseconds / 1000} s`);
    });
    try {
      await Promise.race([redis.connect().then(() => redis.ping()), silence]);
    } catch (error) {
      const text = this.hide(heard || reason(error));
      const advice = isUntrusted(text)
        ? '; --queue-ca names the certificate of the authority that its own was signed by'
        : /NOAUTH|WRONGPASS|NOPERM/.test(text)
          ? '; check user, password and rights of the address'
          : '';
      throw new Error(`no Redis answers at ${this.shown} (${text})${advice}`);
    } finally {
      silence.catch(() => {});
      timer.abort();
      redis.disconnect();
    }
  }

  /**
   * Asks the broker every other second whether it is there, and says when it is not.
   *
   * @returns a promise that rejects when it has been away for longer than `--queue-wait`; it never resolves
   */
  async watch(): Promise<Promise<never>> {
    const { Redis } = await loadRedis();
    const redis = new Redis({
      ...this.connection,
      maxRetriesPerRequest: 0,
      enableOfflineQueue: false,
      commandTimeout: answerMilliseconds,
    });
    this.#watching = redis;
    let heard = '';
    redis.on('error', (error) => {
      heard = reason(error);
    });
    const observe = async (): Promise<never> => {
      let answered = performance.now();
      for (;;) {
        await wait(pingMilliseconds, undefined, { ref: false });
        if (this.#closed) {
          redis.disconnect();
          return new Promise(() => {});
        }
        try {
          await redis.ping();
          if (this.#away) note(`the queue at ${this.shown} answers again`);
          this.#away = false;
          answered = performance.now();
        } catch (error) {
          if (this.#closed) continue;
          const text = this.hide(heard || reason(error));
          const known = this.#away;
          this.#away = true;
          if (performance.now() - answered > this.#patience) {
            redis.disconnect();
            throw new Error(
              `the queue at ${this.shown} has not answered for ${Math.round(this.#patience / 1000)} s ` +
                `(${text}): start the same command again when it is there; finished runs and checkpoints ` +
                'are kept',
            );
          }
          if (!known)
            note(
              `the queue at ${this.shown} does not answer (${text}); it is waited for up to ` +
                `${this.#patience / 1000} s`,
            );
        }
      }
    };
    const gone = observe();
    gone.catch(() => {});
    return gone;
  }

  /** Ends every connection, also those that wait for the broker. */
  async close(...parts: readonly { close(): Promise<void>; disconnect(): Promise<void> }[]): Promise<void> {
    this.#closed = true;
    for (const part of parts) {
      const closing = part.close().then(
        () => true,
        () => true,
      );
      const closed = await Promise.race([closing, wait(answerMilliseconds / 2, false, { ref: false })]);
      if (!closed) await Promise.race([part.disconnect().catch(() => {}), wait(answerMilliseconds / 2)]);
    }
    this.#sockets.destroy();
  }
}

/**
 * Works with a broker, and ends every connection however the work ends: one that is left open keeps the
 * process.
 *
 * @throws what {@link Broker.at}, {@link Broker.reach} and the work throw
 */
export async function withBroker<T>(options: QueueOptions, work: (broker: Broker) => Promise<T>): Promise<T> {
  const broker = await Broker.at(options);
  try {
    await broker.reach();
    return await work(broker);
  } finally {
    await broker.close();
  }
}
