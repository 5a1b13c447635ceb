/**
 * Counts the tests in a report of vitest as `passed failed skipped`, and adds what failed to a file.
 *
 *   node .ci/counts.mjs REPORT.json FAILURES.txt
 */
import { appendFileSync, readFileSync } from 'node:fs';
import { relative } from 'node:path';

const [reportPath, failuresPath] = process.argv.slice(2);
const firstLines = (text) => text.split('\n').slice(0, 4).join('\n  ');

try {
  const report = JSON.parse(readFileSync(reportPath, 'utf8'));
  console.log(report.numPassedTests, report.numFailedTests, report.numPendingTests + report.numTodoTests);
  for (const { name, message, assertionResults } of report.testResults) {
    const failed = assertionResults.filter(({ status }) => status === 'failed');
    const lines = failed.map(({ fullName, failureMessages }) => [fullName, failureMessages.join('\n')]);
    // A file that failed to load has no failed test of its own.
    if (!lines.length && message) lines.push(['the file', message]);
    for (const [what, text] of lines)
      appendFileSync(failuresPath, `FAILED: ${relative('.', name)}: ${what}\n  ${firstLines(text)}\n`);
  }
} catch {
  console.log('0 1 0');
  appendFileSync(failuresPath, `FAILED: no report of the tests (${reportPath})\n`);
}
