/** How, where, with what and when something is measured on this machine. */
import { execFileSync } from 'node:child_process';
import { readFileSync, realpathSync } from 'node:fs';
import { cpus, loadavg, totalmem } from 'node:os';
import { join } from 'node:path';
import type { Provenance } from '../bench/provenance.ts';
import { packagedFile } from './package.ts';

function git(root: string, ...args: string[]): string {
  return execFileSync('git', ['-C', root, ...args], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  }).trim();
}

/** The version of a package that lies in no checkout of its own. */
function versionOf(root: string): string {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  return `version ${version}`;
}

/** The commit of the checkout in this folder; the package's version where it is none. */
export function commitOf(root: string): string {
  try {
    // An installed package often lies within the checkout of another project.
    if (realpathSync(git(root, 'rev-parse', '--show-toplevel')) !== realpathSync(root))
      return versionOf(root);
    const changed =
      git(root, 'status', '--porcelain', '--untracked-files=no', '--', '.', ':!bench/results') !== '';
    return git(root, 'rev-parse', '--short=7', 'HEAD') + (changed ? '+' : '');
  } catch {
    return versionOf(root);
  }
}

/** Linux alone says which processor of a series it is. */
function processor(): string {
  const model = cpus()[0]?.model.trim() ?? 'unknown processor';
  try {
    const text = readFileSync('/proc/cpuinfo', 'utf8');
    const value = (key: string) => new RegExp(`^${key}\\s*: (.*)$`, 'm').exec(text)?.[1];
    const [family, number] = [value('cpu family'), value('model')];
    return family && number ? `${model} (family ${family}, model ${number})` : model;
  } catch {
    return model;
  }
}

/**
 * Describes this machine and checkout, before measuring begins.
 * @param command what was called, as a user types it
 * @param driver description of the adapter
 * @param commit of the code that measures; by default that of the package's folder
 */
export function provenance(
  command: string,
  driver: string,
  commit = commitOf(packagedFile('.')),
): Provenance {
  return {
    command: command.trim(),
    date: new Date().toISOString().slice(0, 10),
    commit,
    machine: `${cpus().length} cores, ${processor()}, ${Math.round(totalmem() / 2 ** 30)} GiB`,
    driver,
    node: process.versions.node,
    load: Number((loadavg()[0] ?? 0).toFixed(1)),
  };
}
