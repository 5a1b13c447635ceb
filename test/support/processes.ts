/** Other processes: a program that is written by a test, and a process that has ended. */
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { thisProcess } from '../../src/platform/node/process.ts';
import { bundle } from './bundle.ts';

/** Bundles a program in a folder inside the project; its path. */
export async function writeProgram(folder: string, name: string, source: string): Promise<string> {
  const path = join(folder, name);
  writeFileSync(`${path}.ts`, source);
  await bundle(`${path}.ts`, path, 'node');
  return path;
}

/** What was known of a process that has ended. */
export async function goneProcess() {
  const child = spawn('true');
  await new Promise((done) => child.on('close', done));
  return { ...thisProcess(), pid: child.pid as number };
}
