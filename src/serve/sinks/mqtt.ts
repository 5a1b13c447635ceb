/**
 * A broker that each judgement is published at, as JSON: MQTT 3.1.1, at least once (quality of service 1).
 */
import { connect, type MqttClient } from 'mqtt';
import type { Judged, Sink } from '../hub.ts';
import type { Judgement } from '../judgement.ts';
import { Backlog } from './backlog.ts';
import type { SinkReports } from './reports.ts';

export interface MqttOptions {
  readonly host: string;
  readonly port: number;
  /** With TLS. */
  readonly secure: boolean;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  /** Certificates and key as PEM; with TLS alone. */
  readonly ca?: Buffer | undefined;
  readonly cert?: Buffer | undefined;
  readonly key?: Buffer | undefined;
  /** Judgements go to TOPIC/MODEL, `online` and `offline` to TOPIC/status. */
  readonly topic: string;
  /** Good parts are not told. */
  readonly anomalousOnly?: boolean;
}

const reconnectMilliseconds = 2000;
const connectMilliseconds = 10_000;
// How soon the broker takes a server that says nothing for gone, and tells its last will.
const keepAliveSeconds = 15;
const graceMilliseconds = 5000;

/** Errors of several addresses at once have no message of their own. */
function reasonOf(error: Error & { readonly code?: unknown }): string {
  return error.message || String(error.code ?? error.name);
}

/** Publishes judgements while the broker is there; while it is away, they wait for it. */
export class MqttSink implements Sink {
  readonly name: string;
  readonly #client: MqttClient;
  readonly #backlog: Backlog<Judgement>;
  readonly #topic: string;
  readonly #anomalousOnly: boolean;
  readonly #onState: (failure: Error | undefined) => void;
  #away = false;
  #closing = false;

  /** Begins to connect; a broker that is away is tried again and again. */
  constructor(options: MqttOptions, reports: SinkReports) {
    const { host, port, secure, topic, anomalousOnly = false } = options;
    this.name = `${secure ? 'mqtts' : 'mqtt'}://${host}:${port}/${topic}`;
    this.#topic = topic;
    this.#anomalousOnly = anomalousOnly;
    const { onState, onGivenUp } = reports.of(this.name);
    this.#onState = onState;
    const status = `${topic}/status`;
    this.#client = connect({
      protocol: secure ? 'mqtts' : 'mqtt',
      host,
      port,
      protocolVersion: 4,
      clientId: `aand-${crypto.randomUUID().slice(0, 13)}`,
      keepalive: keepAliveSeconds,
      reconnectPeriod: reconnectMilliseconds,
      // A password may be set right at the broker.
      reconnectOnConnackError: true,
      connectTimeout: connectMilliseconds,
      will: { topic: status, payload: Buffer.from('offline'), qos: 1, retain: true },
      ...(options.username !== undefined && { username: options.username }),
      ...(options.password !== undefined && { password: options.password }),
      ...(options.ca && { ca: options.ca }),
      ...(options.cert && { cert: options.cert }),
      ...(options.key && { key: options.key }),
    });
    let heard: string | undefined;
    this.#client.on('error', (error) => {
      heard = reasonOf(error);
    });
    this.#client.on('close', () => {
      if (!this.#closing) this.#tell(new Error(heard ?? 'the connection was closed'));
      heard = undefined;
    });
    this.#client.on('connect', () => {
      this.#tell(undefined);
      this.#client.publish(status, 'online', { qos: 1, retain: true });
    });
    this.#backlog = new Backlog({
      batch: 100,
      most: 10_000,
      pause: 1000,
      longestPause: 30_000,
      oldest: 24 * 3_600_000,
      deliver: (judgements, signal) => this.#publish(judgements, signal),
      onState: (failure) => this.#tell(failure),
      onGivenUp,
    });
  }

  take({ judgement }: Judged): void {
    if (!this.#anomalousOnly || judgement.pred_label === 'anomalous') this.#backlog.add(judgement);
  }

  async close(): Promise<void> {
    this.#closing = true;
    // Nobody waits for a broker that is away.
    const left = await this.#backlog.close(this.#client.connected ? graceMilliseconds : 0);
    let confirmed = false;
    if (this.#client.connected && !left) {
      const said = this.#client.publishAsync(`${this.#topic}/status`, 'offline', { qos: 1, retain: true });
      const late = new Promise<void>((resolve) => setTimeout(resolve, graceMilliseconds).unref());
      const answered = said.then(
        () => {
          confirmed = true;
        },
        () => {},
      );
      await Promise.race([answered, late]);
    }
    // Where the end is not said, the broker tells the last will.
    await this.#client.endAsync(!confirmed);
  }

  /** Says once that the broker is away, and once that it is there again. */
  #tell(failure: Error | undefined): void {
    if ((failure !== undefined) === this.#away) return;
    this.#away = failure !== undefined;
    this.#onState(failure);
  }

  /**
   * Resolves when the broker has confirmed each. The client sends again what a connection that broke had not
   * confirmed, so there is no other end than the signal.
   */
  async #publish(judgements: readonly Judgement[], signal: AbortSignal): Promise<void> {
    let end = () => {};
    const ended = new Promise<never>((_, reject) => {
      end = () => reject(new Error('the server ends'));
    });
    if (signal.aborted) end();
    signal.addEventListener('abort', end);
    try {
      const published = judgements.map((judgement) =>
        this.#client.publishAsync(`${this.#topic}/${judgement.model}`, JSON.stringify(judgement), { qos: 1 }),
      );
      await Promise.race([Promise.all(published), ended]);
    } finally {
      signal.removeEventListener('abort', end);
    }
  }
}
