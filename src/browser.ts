/**
 * The library for browsers: detectors, their training and their evaluation on an engine of its own; no files.
 *
 * @packageDocumentation
 */
export { decodeImage } from '#platform';
export {
  AandError,
  CheckpointError,
  ClosedError,
  DeviceLostError,
  type ErrorCode,
  errorCode,
  Interrupted,
  InvalidArgumentError,
  InvalidDatasetError,
  InvalidImageError,
  InvalidModelError,
  InvalidWeightsError,
  KernelError,
  MissingPackageError,
  NoAdapterError,
  NotFiniteError,
  OutOfMemoryError,
  UnreadableError,
  UnsupportedError,
} from './base/errors.ts';
export type { Range } from './base/lists.ts';
export { type Augmentation, robustChanges } from './data/augment.ts';
export type { Sample } from './data/dataset.ts';
export {
  type RegionMask,
  type RegionOfInterest,
  type RegionPoint,
  type RegionPolygon,
  type RegionWindow,
  rasterizeRegion,
  regionMask,
} from './data/region.ts';
export { regionFromImage } from './data/region_file.ts';
export { parseRegion, regionText } from './data/region_json.ts';
export type { DrawnSource, FileSource, ImageSource } from './data/sources.ts';
export type { Tiling } from './data/tiles.ts';
export { type UnreadableFile, UnreadableFiles, type UnreadableOptions } from './data/unreadable.ts';
export { type DataType, Detector, type DetectorOptions, type Prediction } from './detector/detector.ts';
export type { LevelExplanation } from './detector/explain.ts';
export { type DetectorFile, readDetector, writeDetector } from './detector/file.ts';
export {
  type DetectorMemory,
  MapRunner,
  type RawPrediction,
  type RunSize,
  type WarmupProgress,
} from './detector/map_runner.ts';
export { scaleOf } from './detector/scale.ts';
export { type DriftAlarm, driftText, ScoreWatch } from './detector/score_watch.ts';
export { type CalibrationScore, type DetectorSettings, newSettings } from './detector/settings.ts';
export { Engine, type EngineOptions } from './engine/runtime/engine.ts';
export type { ParameterStore } from './engine/runtime/store.ts';
export type { Interval, Intervals } from './eval/bootstrap.ts';
export {
  type AnyCanvas,
  drawLegend,
  drawOutlines,
  drawOverlay,
  drawValues,
  type OverlayOptions,
  type Picture,
} from './eval/canvas.ts';
export { type ColourMapName, colourMapNames, colourTable, jet } from './eval/colour_maps.ts';
export type { DriftDirection } from './eval/drift.ts';
export {
  type Evaluation,
  type Labels,
  type Metrics,
  type Result,
  type TestedImage,
  TestSet,
} from './eval/evaluate.ts';
export { type Finding, type Findings, findingsLines, type Grade } from './eval/findings.ts';
export { heatPixels, type MapScale, type MapValues, type Outline, outlinesOf } from './eval/heat_map.ts';
export { type MarkRule, markedPixels, markRules, type Scale, type ScoredMap } from './eval/marks.ts';
export { type RankMetrics, rankCurves, rankMetrics } from './eval/metrics.ts';
export type { PixelMetrics, Point } from './eval/pixels.ts';
export {
  type Calibration,
  type CalibrationInput,
  calibrate,
  type DrawnCalibrations,
  isAnomalous,
  maskOf,
  normalizeScore,
  parseThreshold,
  type ThresholdRule,
  thresholdFromGood,
} from './eval/thresholds.ts';
export type { ImageBands } from './image/bands.ts';
export type { CanvasPixels, Image, ImageInput } from './image/image.ts';
export { preprocess } from './image/normalize.ts';
export { backboneNamed, backbones, registerBackbone } from './model/backbones.ts';
export type { Losses } from './model/method.ts';
export type { Mode } from './model/methods.ts';
export type { Level, StudentDesign, Teacher } from './model/teacher.ts';
export {
  type CorrectedImage,
  correctedScores,
  type DrawnThreshold,
  drawThreshold,
  recalibrated,
  type Scored,
  scoreForCalibration,
  type ThresholdInput,
  thresholdInput,
} from './session/calibrate.ts';
export { throughLosses } from './session/device_losses.ts';
export { type FineTuneOptions, fineTune } from './session/fine_tune.ts';
export type { JudgedSamples } from './session/judge.ts';
export { type Clock, type Reporter, silent, systemClock } from './session/ports.ts';
export { type Predicted, type PredictOne, predictStream } from './session/predict_stream.ts';
export { memoryReader, type SampleReader, type ScoringOptions } from './session/score_samples.ts';
export { type TestOutcome, testDetector } from './session/test_detector.ts';
export {
  type TrainingJob,
  type TrainingOutcome,
  type TrainingPorts,
  trainAndCalibrate,
} from './session/train_and_calibrate.ts';
export type { JudgedImages, TrainedModel } from './session/train_from_sources.ts';
export type { TrainOptions } from './session/train_options.ts';
export {
  epochsFor,
  fewImages,
  foldsFor,
  holdOutLeast,
  holdOutShare,
  paperSchedule,
  type Schedule,
} from './session/training_defaults.ts';
export type { TrainingProgress } from './session/training_progress.ts';
export type { TextureSource } from './synthetic/anomaly.ts';
export { type DrawnTextures, proceduralTextures } from './synthetic/procedural_textures.ts';
export type { TrainDetectorOptions } from './train/check_options.ts';
export type { CheckpointStorage } from './train/checkpoint.ts';
export type { InputDigest, Run } from './train/run.ts';
export { type TrainedDetector, trainDetector as train } from './train/train_detector.ts';
export type { Progress } from './train/trainer.ts';
export {
  readSafetensors,
  type SafetensorsFile,
  type StoredTensor,
  type StoredType,
  type TensorToStore,
  writeSafetensors,
} from './weights/safetensors.ts';
