/**
 * Entry of a child process that runs the checks on the driver that VK_DRIVER_FILES names: SET FILE OUTPUT
 * DEVICE (JSON).
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { type CheckedSet, encodeResults, runChecks } from './checks.ts';

const [set, file, output, device] = process.argv.slice(2) as [CheckedSet, string, string, string];
writeFileSync(output, encodeResults(await runChecks(set, readFileSync(file), JSON.parse(device))));
