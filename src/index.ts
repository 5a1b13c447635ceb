/**
 * The library for Node: everything that browsers have, and files.
 *
 * @packageDocumentation
 */
export { encodePng, loadResized } from '#platform';
export * from './browser.ts';
export type { Dataset, Format } from './data/dataset.ts';
export { type DatasetOptions, openDataset } from './data/open.ts';
export { drawPanels, type PanelInput } from './eval/panels.ts';
export { predictFile } from './session/predict_stream.ts';
export { fileReader } from './session/score_samples.ts';
