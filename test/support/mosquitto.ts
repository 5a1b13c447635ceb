/** A real MQTT broker for tests, and a real subscriber: mosquitto and mosquitto_sub. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll } from 'vitest';

export interface Message {
  readonly topic: string;
  readonly payload: string;
}

export interface Subscriber {
  readonly messages: readonly Message[];
  /** Waits until there are so many messages. @throws after half a minute */
  count(wanted: number): Promise<readonly Message[]>;
}

// Debian puts the broker where a user's path does not lead.
const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/usr/local/sbin` };

export function hasMosquitto(): boolean {
  try {
    execFileSync('mosquitto', ['-h'], { stdio: 'ignore', env });
  } catch (error) {
    // Its help ends with 1 or 3; only a program that is missing has no status.
    if ((error as { readonly status?: number | null }).status === undefined) {
      console.warn('skipped: no mosquitto on this machine (Debian: mosquitto, mosquitto-clients)');
      return false;
    }
  }
  return true;
}

/** Brokers and subscribers that end with the tests of a file. */
export function useMosquitto(folder: string) {
  const children = new Set<ChildProcess>();
  afterAll(() => {
    for (const child of children) child.kill('SIGKILL');
  });
  const start = (command: string, args: readonly string[]) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env });
    children.add(child);
    child.once('close', () => children.delete(child));
    return child;
  };
  return {
    /**
     * Starts a broker, and waits until it listens.
     *
     * @param lines of its configuration beside the port
     */
    async broker(port: number, lines: readonly string[] = ['allow_anonymous true']): Promise<ChildProcess> {
      mkdirSync(folder, { recursive: true });
      const config = join(folder, `mosquitto-${port}.conf`);
      const user = process.getuid?.() === 0 ? ['user root'] : [];
      const all = [`listener ${port} 127.0.0.1`, ...user, 'persistence false', ...lines];
      writeFileSync(config, `${all.join('\n')}\n`);
      const child = start('mosquitto', ['-c', config]);
      let said = '';
      await new Promise<void>((ready, failed) => {
        child.once('error', failed);
        child.once('close', (code) => failed(new Error(`mosquitto ended with ${code}: ${said}`)));
        child.stderr?.on('data', (data) => {
          said += data;
          if (/running/.test(said)) ready();
        });
        child.stdout?.on('data', (data) => {
          said += data;
          if (/running/.test(said)) ready();
        });
      });
      return child;
    },

    /** A file of passwords for a broker. */
    passwords(name: string, user: string, password: string): string {
      mkdirSync(folder, { recursive: true });
      const path = join(folder, name);
      execFileSync('mosquitto_passwd', ['-b', '-c', path, user, password], { stdio: 'pipe', env });
      return path;
    },

    /** Subscribes to a topic, and waits until the broker has said yes. */
    async subscriber(port: number, topic: string, more: readonly string[] = []): Promise<Subscriber> {
      // Without lines as buffers nothing is heard before the first message.
      const child = start('stdbuf', [
        ...['-oL', 'mosquitto_sub'],
        ...['-h', '127.0.0.1', '-p', `${port}`, '-q', '1', '-d', '-t', topic],
        ...['-F', 'message %t %p', ...more],
      ]);
      let said = '';
      const messages: Message[] = [];
      child.stdout?.on('data', (data) => {
        said += data;
        messages.length = 0;
        for (const [, topic = '', payload = ''] of said.matchAll(/^message (\S+) (.*)\n/gm))
          messages.push({ topic, payload });
      });
      const until = async (done: () => boolean, what: string) => {
        for (let i = 0; i < 300 && !done(); i++) await wait(100);
        if (!done()) throw new Error(`mosquitto_sub did not hear ${what}: ${said}`);
      };
      await until(() => /Subscribed/.test(said), 'that it is subscribed');
      return {
        messages,
        async count(wanted) {
          await until(() => messages.length >= wanted, `${wanted} messages`);
          return messages;
        },
      };
    },
  };
}
