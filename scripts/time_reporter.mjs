/**
 * Vitest reporter: the time of each test file as a Markdown table, the longest first.
 * `npm test -- --reporter=default --reporter=./scripts/time_reporter.mjs`; TIMES=FILE also writes the table
 * there.
 */
import { writeFileSync } from 'node:fs';

const seconds = (milliseconds) => (milliseconds / 1000).toFixed(1);

export default class TimeReporter {
  onTestRunStart() {
    this.started = performance.now();
  }

  onTestRunEnd(modules) {
    const files = modules
      .map((module) => {
        const { collectDuration, duration, setupDuration } = module.diagnostic();
        const tests = [...module.children.allTests()];
        const name = module.relativeModuleId.replace(/^test\//, '');
        return { name, tests: tests.length, time: collectDuration + setupDuration + duration };
      })
      .sort((a, b) => b.time - a.time);
    const total = files.reduce((sum, { time }) => sum + time, 0);
    const tests = files.reduce((sum, file) => sum + file.tests, 0);
    const table = [
      '| file | tests | seconds |',
      '|---|---|---|',
      ...files.map((file) => `| ${file.name} | ${file.tests} | ${seconds(file.time)} |`),
      `| **sum over the files** | ${tests} | ${seconds(total)} |`,
      `| **from start to end** | | ${seconds(performance.now() - this.started)} |`,
    ].join('\n');
    console.log(table);
    if (process.env.TIMES) writeFileSync(process.env.TIMES, `${table}\n`);
  }
}
