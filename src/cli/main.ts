#!/usr/bin/env node
/**
 * The command line `aand`. Exit codes: 0 done, 1 failure, 2 wrong use, 3 an anomaly (predict
 * --fail-on-anomaly) or a slower case (bench compare), 130 interrupted.
 */
import { CommanderError } from 'commander';
import { Interrupted } from '../base/errors.ts';
import { hideChatter } from '../platform/node/gpu.ts';
import { outputClosed, watchOutput } from './closed_output.ts';
import { EndWithCode } from './common.ts';
import { commandLine } from './program.ts';
import { failure } from './style.ts';

watchOutput();
hideChatter();
try {
  await commandLine().parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2;
  else {
    const interrupted = error instanceof Interrupted || (error as Error).name === 'AbortError';
    // Nobody reads the rest, as they wished.
    if (!(interrupted && outputClosed())) {
      failure((error as Error).message);
      process.exitCode = error instanceof EndWithCode ? error.exitCode : interrupted ? 130 : 1;
    }
  }
}
