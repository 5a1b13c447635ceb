/** All commands of `aand`, ready to parse. */
import { Command } from 'commander';
import { benchCommand } from './bench.ts';
import { benchmarkCommand } from './benchmark.ts';
import { calibrateCommand } from './calibrate.ts';
import { dataCommand } from './data.ts';
import { demoCommand } from './demo.ts';
import { distillTeacherCommand } from './distill_teacher.ts';
import { doctorCommand } from './doctor.ts';
import { exportCommand } from './export.ts';
import { importCommand } from './import.ts';
import { textOption } from './options.ts';
import { packageVersion } from './package.ts';
import { predictCommand } from './predict.ts';
import { previewCommand } from './preview.ts';
import { serveCommand } from './serve.ts';
import { testCommand } from './test.ts';
import { trainCommand } from './train.ts';
import { tuneCommand } from './tune.ts';
import { weightsCommand } from './weights.ts';
import { workerCommand } from './worker.ts';

/** The command line; what does not fit it is thrown as a CommanderError instead of ending the process. */
export function commandLine(): Command {
  const program = new Command('aand')
    .description('learns a product from photos of good parts, then shows where a new photo is defective')
    .version(packageVersion(), '-V, --version', 'print the version')
    .exitOverride()
    .showHelpAfterError('(aand COMMAND --help lists the options)');
  dataCommand(program);
  previewCommand(program);
  trainCommand(program);
  testCommand(program);
  predictCommand(program);
  serveCommand(program);
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
  benchCommand(program);
  for (const command of program.commands)
    for (const part of [command, ...command.commands]) {
      part.exitOverride();
      for (const option of part.options)
        if ((option.required || option.optional) && !option.parseArg)
          option.argParser(textOption(option.variadic));
    }
  return program;
}
