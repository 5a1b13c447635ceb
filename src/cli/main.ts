#!/usr/bin/env node
/** The command line `aand`. Exit codes: 0 done, 1 failure, 2 wrong use, 130 interrupted. */
import { Command, CommanderError } from 'commander';
import { Interrupted } from '../train/trainer.ts';
import { benchmarkCommand } from './benchmark.ts';
import { calibrateCommand } from './calibrate.ts';
import { UsageError } from './common.ts';
import { dataCommand } from './data.ts';
import { demoCommand } from './demo.ts';
import { distillTeacherCommand } from './distill_teacher.ts';
import { doctorCommand } from './doctor.ts';
import { exportCommand } from './export.ts';
import { importCommand } from './import.ts';
import { predictCommand } from './predict.ts';
import { previewCommand } from './preview.ts';
import { testCommand } from './test.ts';
import { trainCommand } from './train.ts';
import { tuneCommand } from './tune.ts';
import { weightsCommand } from './weights.ts';
import { workerCommand } from './worker.ts';

const program = new Command('aand')
  .description('learns a product from photos of good parts, then shows where a new photo is defective')
  .exitOverride()
  .showHelpAfterError('(aand COMMAND --help lists the options)');
dataCommand(program);
previewCommand(program);
trainCommand(program);
testCommand(program);
predictCommand(program);
demoCommand(program);
benchmarkCommand(program);
workerCommand(program);
calibrateCommand(program);
importCommand(program);
weightsCommand(program);
doctorCommand(program);
exportCommand(program);
distillTeacherCommand(program);
tuneCommand(program);
for (const command of program.commands) for (const part of [command, ...command.commands]) part.exitOverride();

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2;
  else {
    console.error(`aand: ${(error as Error).message}`);
    const interrupted = error instanceof Interrupted || (error as Error).name === 'AbortError';
    process.exitCode = error instanceof UsageError ? 2 : interrupted ? 130 : 1;
  }
}
