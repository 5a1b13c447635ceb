#!/usr/bin/env node
/** The command line `aand`. Exit codes: 0 done, 1 failure, 2 wrong use, 130 interrupted. */
import { CommanderError } from 'commander';
import { Interrupted } from '../train/trainer.ts';
import { UsageError } from './common.ts';
import { commandLine } from './program.ts';

try {
  await commandLine().parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2;
  else {
    console.error(`aand: ${(error as Error).message}`);
    const interrupted = error instanceof Interrupted || (error as Error).name === 'AbortError';
    process.exitCode = error instanceof UsageError ? 2 : interrupted ? 130 : 1;
  }
}
