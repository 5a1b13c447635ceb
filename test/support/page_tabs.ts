/** Trainings in several tabs and copies of the page. */
import type { Browser, Page } from 'puppeteer-core';
import { expect } from 'vitest';
import { click, textOf, waitForText } from './app_actions.ts';
import { fillTraining, openCopy, type PageCopies } from './page_copies.ts';

/** Waits until a function says yes in the page; pages in the background are asked too. */
export const until = <A extends unknown[]>(page: Page, met: (...args: A) => unknown, ...args: A) =>
  page.waitForFunction(met as (...args: unknown[]) => unknown, { polling: 100, timeout: 60_000 }, ...args);

/** What the page's line of problems says. */
export const problem = (page: Page) => textOf(page, '#problem');

const startDisabled = (page: Page) =>
  page.evaluate(
    () => [...document.querySelectorAll('button')].find((b) => b.textContent === 'Start training')?.disabled,
  );

/**
 * Trains in a tab of the copy a/: a second tab of it, which is returned, offers nothing that touches the
 * training, until it is paused. The copy b/ does not know of it.
 */
export async function checkOtherTab(browser: Browser, site: PageCopies, first: Page): Promise<Page> {
  await fillTraining(first, site.images, 'in the first tab', 500);
  await click(first, 'Start training');
  await waitForText(first, 'train', /stage II, epoch [2-9]/, 200_000);
  const second = await openCopy(browser, `${site.origin}a/`);
  await fillTraining(second, site.images, 'in the second tab', 1);
  await waitForText(second, 'train', /Another tab is training/);
  expect(await textOf(second, '#train')).not.toMatch(/Resume|Discard/);
  expect(await startDisabled(second)).toBe(true);
  // Another copy of the page is not concerned.
  const b = await openCopy(browser, `${site.origin}b/`);
  await fillTraining(b, site.images, 'in the other copy', 1);
  expect(await textOf(b, '#train')).not.toMatch(/Another tab|kept on this device/);
  expect(await startDisabled(b)).toBe(false);
  await b.close();
  await first.bringToFront();
  await click(first, 'Pause');
  await waitForText(first, 'train', /Paused\. It waits on this device at its last checkpoint/);
  await waitForText(second, 'train', /"in the first tab": 4 good, .*not finished/);
  expect(await startDisabled(second)).toBe(false);
  return second;
}
