/**
 * `--mqtt` and what belongs to it. Secrets come from the environment or a file: process lists show options.
 */
import { readFile } from 'node:fs/promises';
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { MqttOptions } from '../serve/sinks/mqtt.ts';
import { readText, UsageError } from './common.ts';
import { oneOf } from './options.ts';

export interface MqttCommandOptions {
  readonly mqtt?: string;
  readonly mqttTopic: string;
  readonly mqttOn: 'all' | 'anomalous';
  readonly mqttCredentials?: string;
  readonly mqttCa?: string;
  readonly mqttCert?: string;
  readonly mqttKey?: string;
}

/** An address of a broker. It is not repeated in the error, for it may hold a password. */
function brokerAddress(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !/^mqtts?:$/.test(url.protocol) || !url.hostname || !/^\/?$/.test(url.pathname) || url.search)
    throw new UsageError(
      '--mqtt (or AAND_MQTT) must be an address such as mqtt://host:1883 or mqtts://host:8883',
    );
  return url;
}

/** The beginning of topics: without wildcards, not of the broker's own. */
function topicOption(text: string): string {
  if (!/^[^\s+#$/\0][^+#\0]{0,199}$/.test(text) || text.endsWith('/'))
    throw new InvalidArgumentError('It must be a topic without + and #, such as factory/line1.');
  return text;
}

/** Adds the options to a command. */
export function addMqttOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        '--mqtt <url>',
        'publish each judgement at this broker, mqtt:// or mqtts://host:port, at TOPIC/MODEL; user and ' +
          'password in the address are taken from the variable alone',
      ).env('AAND_MQTT'),
    )
    .option('--mqtt-topic <topic>', 'beginning of the topics; TOPIC/status says online', topicOption, 'aand')
    .option('--mqtt-on <results>', 'which ones are published', oneOf(['all', 'anomalous']), 'all')
    .option('--mqtt-credentials <file>', 'user in the first line of this file, password in the second')
    .option('--mqtt-ca <file>', 'certificate of the authority that the broker is trusted by')
    .option('--mqtt-cert <file>', 'own certificate, where the broker asks for one')
    .option('--mqtt-key <file>', 'key of the own certificate');
}

async function readPart(path: string | undefined, option: string): Promise<Buffer | undefined> {
  if (path === undefined) return undefined;
  return readFile(path).catch((error) => {
    throw new UsageError(`${option}: ${(error as Error).message}`);
  });
}

/**
 * The broker that the options name; undefined where they name none.
 *
 * @param typed whether the address was typed as an option, where everybody on the machine can read it
 * @throws UsageError where the options do not fit each other, or a password was typed
 */
export async function readMqtt(
  options: MqttCommandOptions,
  typed: boolean,
): Promise<MqttOptions | undefined> {
  const { mqtt, mqttTopic, mqttOn, mqttCredentials, mqttCa, mqttCert, mqttKey } = options;
  if (mqtt === undefined) {
    if (mqttCredentials ?? mqttCa ?? mqttCert ?? mqttKey)
      throw new UsageError('--mqtt-credentials, --mqtt-ca, --mqtt-cert and --mqtt-key belong to --mqtt');
    return undefined;
  }
  const url = brokerAddress(mqtt);
  if (typed && url.password)
    throw new UsageError(
      'the list of processes shows a password in --mqtt: put the address into the variable AAND_MQTT, or ' +
        'user and password into a file for --mqtt-credentials',
    );
  const secure = url.protocol === 'mqtts:';
  if (!secure && (mqttCa ?? mqttCert ?? mqttKey))
    throw new UsageError('--mqtt-ca, --mqtt-cert and --mqtt-key need an address that begins with mqtts://');
  if (!mqttCert !== !mqttKey) throw new UsageError('--mqtt-cert and --mqtt-key belong together');
  let [username, password] = [url.username, url.password].map(
    (text) => decodeURIComponent(text) || undefined,
  );
  if (mqttCredentials !== undefined) {
    const lines = (await readText(mqttCredentials)).split(/\r?\n/);
    if (!lines[0]) throw new UsageError(`${mqttCredentials}: its first line is empty, and is the user`);
    [username, password] = [lines[0], lines[1] || undefined];
  }
  return {
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: Number(url.port || (secure ? 8883 : 1883)),
    secure,
    username,
    password,
    ca: await readPart(mqttCa, '--mqtt-ca'),
    cert: await readPart(mqttCert, '--mqtt-cert'),
    key: await readPart(mqttKey, '--mqtt-key'),
    topic: mqttTopic,
    anomalousOnly: mqttOn === 'anomalous',
  };
}
