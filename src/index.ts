/** The library for Node: everything that browsers have, and files. */
export { encodePng, loadResized } from '#platform';
export * from './browser.ts';
export { openDataset } from './data/open.ts';
export { drawPanels } from './eval/panels.ts';
