/**
 * Entry of a child process that runs the checks on the driver that VK_DRIVER_FILES names: OPS MODELS MINIMAL
 * OUTPUT.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { encodeResults, runChecks } from './checks.ts';

const [ops, models, minimal, output] = process.argv.slice(2) as [string, string, string, string];
writeFileSync(
  output,
  encodeResults(await runChecks(readFileSync(ops), readFileSync(models), minimal === 'true')),
);
