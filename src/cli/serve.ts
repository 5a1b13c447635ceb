/** `aand serve`: models behind HTTP, for a line. */
import { basename, dirname, resolve } from 'node:path';
import { type Command, InvalidArgumentError } from 'commander';
import { readBytes } from '#platform';
import { isLoopback } from '../serve/access.ts';
import { dtypeOption, marksOption, subgroupMatricesOptions, UsageError } from './common.ts';
import { addMqttOptions, type MqttCommandOptions, readMqtt } from './mqtt_options.ts';
import { countOption, oneOf, realNumber, wholeNumber } from './options.ts';
import type { NamedModel, ServeOptions } from './serve_models.ts';
import { addSourceOptions, namedSources, type SourceCommandOptions } from './source_options.ts';

type ServeCommandOptions = ServeOptions &
  MqttCommandOptions &
  SourceCommandOptions & { readonly tokenFile?: string };

/** The name of a model: as in NAME=FILE, else that of its file or, for model.safetensors, its folder. */
function namedModel(text: string): NamedModel {
  const [, given, file] = /^([^=/\\]+)=(.+)$/.exec(text) ?? [undefined, undefined, text];
  const path = file as string;
  const stem = basename(path).replace(/\.[^.]*$/, '');
  const name = given ?? (stem === 'model' ? basename(dirname(resolve(path))) : stem);
  if (!/^[\w.-]{1,100}$/.test(name))
    throw new UsageError(
      `a model's name is part of an address, so letters, digits, "_", "." and "-" alone can be in it, not ` +
        `'${name}': write NAME=${path}`,
    );
  return { name, path };
}

/** An address of the web, with http or https. */
function webAddress(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !/^https?:$/.test(url.protocol))
    throw new InvalidArgumentError('It must be an address that begins with http:// or https://.');
  return url;
}

function namedModels(texts: readonly string[]): NamedModel[] {
  const models = texts.map(namedModel);
  for (const [i, { name, path }] of models.entries()) {
    const other = models.slice(0, i).find((model) => model.name === name);
    if (other)
      throw new UsageError(`${other.path} and ${path} are both called ${name}: write NAME=FILE for one`);
  }
  return models;
}

/** The token: the first line of a file, or the variable AAND_TOKEN. */
async function readToken({ tokenFile, host }: ServeCommandOptions): Promise<string | undefined> {
  const text = tokenFile
    ? new TextDecoder().decode(await readBytes(tokenFile)).split(/\r?\n/)[0]
    : process.env.AAND_TOKEN;
  const token = text?.trim();
  if (token && !/^\S{8,}$/.test(token))
    throw new UsageError('the token must have 8 characters or more, without blanks');
  if (tokenFile && !token) throw new UsageError(`${tokenFile}: its first line is empty, and is the token`);
  if (!token && !isLoopback(host))
    throw new UsageError(
      `--host ${host} lets other machines in: give a token with --token-file FILE or AAND_TOKEN`,
    );
  return token || undefined;
}

export function serveCommand(program: Command): void {
  const [useMatrices, withoutMatrices] = subgroupMatricesOptions();
  const command = program
    .command('serve')
    .description(
      'judge images that come over HTTP, into folders or from cameras; a page shows them as they come',
    )
    .argument('<models...>', 'model files, or NAME=FILE; a name is part of its address')
    .option('--port <number>', 'port; 0: any that is free', wholeNumber(0, 65_535), 8080)
    .option('--host <address>', 'address to listen on; another than loopback needs a token', '127.0.0.1')
    .option('--token-file <file>', 'bearer token that requests must carry, in the first line of this file')
    .option(
      '--capacity <count>',
      'images under way at once; of more, each is answered with 429',
      countOption,
      32,
    )
    .option(
      '--max-body <mebibytes>',
      'size of an image file at most',
      realNumber({ above: 0 }, { most: 1024 }),
      32,
    )
    .option(
      '--timeout <seconds>',
      'time that an image may take',
      realNumber({ above: 0 }, { most: 3600 }),
      30,
    )
    .option(
      '--batch-delay <milliseconds>',
      'how long an image waits for others while the device is busy',
      realNumber({ least: 0 }, { most: 10_000 }),
      5,
    )
    .option('--log <file>', 'add a line for each judgement to this file: JSON, or CSV where it ends in .csv')
    .option('--webhook <url>', 'send each judgement there as JSON, and again until it is taken', webAddress)
    .option('--webhook-on <results>', 'which ones are sent', oneOf(['all', 'anomalous']), 'all');
  addSourceOptions(command);
  addMqttOptions(command)
    .addOption(dtypeOption())
    .addOption(marksOption())
    .addOption(useMatrices)
    .addOption(withoutMatrices)
    .action(async (models: string[], options: ServeCommandOptions) => {
      const files = namedModels(models);
      const token = await readToken(options);
      const mqtt = await readMqtt(options, command.getOptionValueSource('mqtt') === 'cli');
      const sources = namedSources(
        options,
        files.map(({ name }) => name),
      );
      // The server's packages are loaded by this command alone.
      const { serveModels } = await import('./serve_models.ts');
      await serveModels(files, { ...options, ...sources, token, mqtt });
    });
}
