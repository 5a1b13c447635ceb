/** The library for Node: everything that browsers have, and files. */
export { encodePng } from '#platform';
export * from './browser.ts';
export { loadImage, openDataset } from './data/dataset.ts';
export { drawPanels } from './eval/panels.ts';
