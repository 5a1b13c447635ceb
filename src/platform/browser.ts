/** The platform of browsers: WebGPU from `navigator.gpu`, images decoded by the page, no file system. */
export { keepText, keptText } from './browser/cache.ts';
export {
  exists,
  listFolder,
  openScratchFile,
  packageRoot,
  readBytes,
  readFolder,
  realPath,
  resultFinder,
  writeBytes,
} from './browser/files.ts';
export { adapterAdvice, nextTurn, openGpu, restWhile } from './browser/gpu.ts';
export {
  decodedBytes,
  decodeImage,
  decodeMask,
  encodePng,
  encodeWebp,
  imageFileSize,
  imageSize,
  inspectImage,
  openBands,
  overview,
} from './browser/images.ts';
export { drawnPixels, localPath, packagedWeights } from './browser/sources.ts';
export { decodeResized, loadResized } from './browser/threads.ts';
export type { FolderEntry, ResizedImage, ResultFinder, ScratchFile } from './platform.ts';
