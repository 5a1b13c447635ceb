/** The library for browsers: the same engine, model, training and evaluation; no files. */
// What the declarations need from a compiler, whatever its settings.
/// <reference types="@webgpu/types" preserve="true" />
/// <reference lib="esnext.disposable" preserve="true" />
export { decodeImage } from '#platform';
export { ClosedError, DeviceLostError, OutOfMemoryError } from './base/errors.ts';
export { type DataType, Detector, type Prediction } from './detector/detector.ts';
export { writeDetector } from './detector/file.ts';
export { type DetectorSettings, newSettings } from './detector/settings.ts';
export { Engine, type EngineOptions } from './engine/runtime/engine.ts';
export { TestSet } from './eval/evaluate.ts';
export { jet } from './eval/panels.ts';
export type { CanvasPixels, Image, ImageInput } from './image/image.ts';
export { preprocess } from './image/normalize.ts';
export { backboneNamed, backbones } from './model/backbones.ts';
export { proceduralTextures } from './synthetic/procedural_textures.ts';
export type { TrainDetectorOptions } from './train/check_options.ts';
export { trainDetector as train } from './train/train_detector.ts';
export { readSafetensors, writeSafetensors } from './weights/safetensors.ts';
