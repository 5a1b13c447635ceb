/** The platform of Node: WebGPU from Dawn, images by sharp and the decoders of `src/image`, files. */
export { decodedBytes, imageFileSize, openBands, overview } from './node/bands.ts';
export { keepText, keptText } from './node/cache.ts';
export { adapterAdvice, nextTurn, openGpu, restWhile } from './node/gpu.ts';
export { decodeImage, decodeMask, encodePng, encodeWebp, imageSize, inspectImage } from './node/images.ts';
export { packageRoot } from './node/package_root.ts';
export { exists, listFolder, openScratchFile, readBytes, readFolder, realPath } from './node/read.ts';
export { resultFinder } from './node/record.ts';
export { drawnPixels, localPath, packagedWeights } from './node/sources.ts';
export { decodeResized, loadResized } from './node/threads.ts';
export { writeBytes } from './node/write.ts';
export type { FolderEntry, ResizedImage, ResultFinder, ScratchFile } from './platform.ts';
