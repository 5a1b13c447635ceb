/**
 * The one-file model: weights, pre-processing, thresholds, calibration, settings and versions in a
 * safetensors file with a digest. Every way into the program goes through {@link readDetector} and {@link
 * detectorStore}, every way out through a digest.
 */
import { InvalidModelError, InvalidWeightsError } from '../base/errors.ts';
import type { Engine } from '../engine/runtime/engine.ts';
import { ParameterStore } from '../engine/runtime/store.ts';
import { backboneNamed } from '../model/backbones.ts';
import { groups } from '../model/groups.ts';
import { bankName } from '../model/method.ts';
import { detectorParameters } from '../model/methods.ts';
import { verifyDigest, writeWithDigest } from '../weights/digest.ts';
import { loadParameters, storeParameters } from '../weights/parameters.ts';
import {
  readSafetensors,
  type SafetensorsFile,
  storable,
  type TensorToStore,
} from '../weights/safetensors.ts';
import { type DetectorSettings, parseSettings, settingsText } from './settings.ts';

const family = 'aand-webgpu/';
/** Files of the first format have no digest; they are still read. */
const firstFormat = `${family}1`;
export const formatVersion = `${family}2`;
/**
 * Of models that inspect a part of the image alone: a program that does not know of it would judge the whole
 * image by their threshold.
 */
const regionFormat = `${family}3`;
const formats = [firstFormat, formatVersion, regionFormat];

const parts = Object.values(groups);

/** A model file that was read and checked. */
export interface DetectorFile extends SafetensorsFile {
  readonly settings: DetectorSettings;
}

/**
 * Writes tensors and settings as a model file.
 *
 * @param metadata further entries
 */
export function writeDetectorTensors(
  tensors: ReadonlyMap<string, TensorToStore>,
  settings: DetectorSettings,
  metadata: Readonly<Record<string, string>> = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const format = settings.region ? regionFormat : formatVersion;
  return writeWithDigest(tensors, { ...metadata, format, detector: settingsText(settings, format) });
}

/** The whole detector as a file. */
export async function writeDetector(
  store: ParameterStore,
  settings: DetectorSettings,
): Promise<Uint8Array<ArrayBuffer>> {
  return writeDetectorTensors(await storeParameters(store, parts), settings);
}

/** A model file with other settings. */
export function rewriteDetector(
  file: DetectorFile,
  settings: DetectorSettings,
): Promise<Uint8Array<ArrayBuffer>> {
  return writeDetectorTensors(storable(file.tensors), settings, file.metadata);
}

function checkFormat({ metadata }: SafetensorsFile, digest: boolean): void {
  const { format } = metadata;
  if (!format?.startsWith(family) || !metadata.detector)
    throw new InvalidModelError(
      `not a detector of this program (format '${format?.slice(0, 50) ?? 'none'}', ` +
        `needed '${formatVersion}'). ` +
        'aand train makes one; aand import makes one of PyTorch files',
    );
  if (!formats.includes(format))
    throw new InvalidModelError(
      `its format '${format.slice(0, 50)}' is newer than this program, ` +
        `which reads '${regionFormat}' and older. ` +
        'Install a current version of aand-webgpu',
    );
  if (format !== firstFormat && !digest)
    throw new InvalidModelError(
      'the file has no SHA-256 digest: it is damaged or was changed by another program. Take an intact copy',
    );
}

/** What is wrong with the tensors of a model file is wrong with the model. */
function modelError(error: unknown): unknown {
  return error instanceof InvalidWeightsError
    ? new InvalidModelError(error.message, { cause: error })
    : error;
}

/**
 * Reads and checks a model file: its digest, its format, every field of its settings.
 *
 * @param bytes a `model.safetensors` of `aand train`
 * @param what its name, for error messages
 * @throws Error on a file that is damaged, of another kind or of a newer version, or a setting that is not
 *   valid
 */
export async function readDetector(bytes: Uint8Array, what: string): Promise<DetectorFile> {
  let file: SafetensorsFile;
  let digest: Awaited<ReturnType<typeof verifyDigest>>;
  try {
    file = readSafetensors(bytes, what);
    digest = await verifyDigest(bytes, file.metadata, what);
  } catch (error) {
    throw modelError(error);
  }
  try {
    checkFormat(file, digest);
    const { settings, format } = parseSettings(file.metadata.detector as string);
    if (format !== undefined && format !== file.metadata.format)
      throw new InvalidModelError(
        `its settings were written as '${format}', the file says '${file.metadata.format}'`,
      );
    return { ...file, settings };
  } catch (error) {
    throw new InvalidModelError(`${what}: ${(error as Error).message}`);
  }
}

/**
 * The parameters of a model file on a device; the caller destroys the store.
 *
 * @param what name of the file, for error messages
 * @param options half: convolution weights in 16 bits
 * @throws Error naming tensors that are missing, unknown, of another shape, or hold what no weight can be
 */
export function detectorStore(
  engine: Engine,
  file: DetectorFile,
  what: string,
  options: { readonly half?: boolean } = {},
): ParameterStore {
  const { backbone, mode } = file.settings;
  const rows = file.tensors.get(bankName)?.shape[0];
  const set = detectorParameters(backboneNamed(backbone), mode, { ...options, rows });
  const surplus = [...file.tensors.keys()].filter((name) => !set.has(name));
  if (surplus.length)
    throw new InvalidModelError(
      `${what}: ${surplus.length} tensors are no part of a ${backbone} in mode ${mode}, ` +
        `the first is '${surplus[0]?.slice(0, 200)}'`,
    );
  const store = new ParameterStore(engine, set);
  try {
    loadParameters(store, parts, file, what);
  } catch (error) {
    store.destroy();
    throw modelError(error);
  }
  return store;
}
