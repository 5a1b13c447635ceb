/**
 * State dicts of the PyTorch world under this program's names: torchvision backbones, the authors' stage-I
 * and stage-II files, RD4AD's (method, 3.8). The result says of every tensor whether it was used, was ignored
 * or had another shape, and names the tensors that are missing.
 */
import { InvalidWeightsError } from '../base/errors.ts';
import type { ParameterSpec } from '../engine/graph/parameter_set.ts';
import { firstNonFinite } from '../engine/graph/tensor.ts';
import { backbones } from '../model/backbones.ts';
import { amplifierNames } from '../model/groups.ts';
import { detectorParameters, type Mode } from '../model/methods.ts';
import type { Teacher } from '../model/teacher.ts';
import { storedShape } from './names.ts';
import type { SafetensorsFile, StoredTensor } from './safetensors.ts';

export interface SourceFile {
  readonly path: string;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
}

export interface ImportReport {
  /** What the files make together: a whole detector, or a teacher alone. */
  readonly kind: 'detector' | 'teacher';
  readonly mode: Mode;
  readonly backbone: Teacher;
  /** By this program's names. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** Tensors that no part of the model uses, by file, with the reason. */
  readonly ignored: readonly { readonly path: string; readonly name: string; readonly reason: string }[];
}

/** Prefixes that training scripts put around a state dict or a network. */
const wrappers = new Set(
  (
    'state_dict model_state_dict model_state model net network module backbone base_model body ' +
    'feature_extractor resnet ema ema_model model_ema _orig_mod _forward_module _fsdp_wrapped_module'
  ).split(' '),
);

/** Modules of the authors, of RD4AD and of this program, and where they belong here. */
const parts: Readonly<Record<string, 'teacher' | 'bottleneck' | 'student'>> = {
  encoder_AT: 'teacher',
  encoder: 'teacher',
  teacher: 'teacher',
  bn: 'bottleneck',
  bottleneck: 'bottleneck',
  decoder_ss: 'student',
  decoder: 'student',
  student: 'student',
};

// What the bottleneck's modules are called.
const inBottleneck = /^(?:conv\d|bn\d|bn_layer)$/;

/**
 * The name of a tensor in this program. Wrappers are stripped wherever they stand in front; torchvision's
 * names have no prefix.
 */
export function importedName(name: string): string {
  const segments = name.split('.');
  let part: (typeof parts)[string] | undefined;
  let at = 0;
  for (; at < segments.length - 1; at++) {
    const segment = segments[at] as string;
    if (wrappers.has(segment)) continue;
    const found: (typeof parts)[string] | undefined = Object.hasOwn(parts, segment)
      ? parts[segment]
      : undefined;
    if (!found || part) break;
    const next = segments.slice(at + 1).find((following) => !wrappers.has(following));
    if (found === 'bottleneck' && !inBottleneck.test(next ?? '')) break;
    part = found;
  }
  return [part ?? 'teacher', ...segments.slice(at)].join('.');
}

/** Why a tensor is not used, for those that the files are known to carry; undefined for others. */
function knownUnused(name: string): string | undefined {
  if (name.endsWith('num_batches_tracked')) return 'a counter that nothing reads';
  if (/^teacher\.(layer4|fc)\./.test(name)) return 'the teacher ends after layer3';
  if (/^bottleneck\.(conv4|bn4)\./.test(name)) return 'unused by the method';
  if (name.includes('memory')) return 'the authors drop it on loading';
  return undefined;
}

/** The backbone whose shapes a teacher or student has; undefined where none fits. */
export function detectBackbone(tensors: ReadonlyMap<string, StoredTensor>): Teacher | undefined {
  const fits = (backbone: Teacher) => {
    const specs = detectorParameters(backbone, 'aand').specs.filter(({ name }) => tensors.has(name));
    return specs.length > 0 &&
      specs.every((spec) => `${storedShape(spec)}` === `${tensors.get(spec.name)?.shape}`)
      ? specs.length
      : 0;
  };
  const ranked = Object.values(backbones)
    .map((backbone) => ({ backbone, count: fits(backbone) }))
    .sort((a, b) => b.count - a.count);
  return ranked[0]?.count ? ranked[0].backbone : undefined;
}

/** First names of a list, for messages. */
function some(names: readonly string[]): string {
  return `${names.slice(0, 3).join(', ')}${names.length > 3 ? ` and ${names.length - 3} more` : ''}`;
}

type NamedTensor = StoredTensor & { readonly path: string; readonly original: string };

/**
 * Tensors of files under this program's names.
 *
 * @throws Error where two tensors with other values have one name
 */
function renamed(files: readonly SourceFile[]): Map<string, NamedTensor> {
  const all = new Map<string, NamedTensor>();
  for (const { path, tensors } of files)
    for (const [original, tensor] of tensors) {
      const name = importedName(original);
      const twin = all.get(name);
      // Torchvision's file may come beside a stage-I file, whose teacher is the same.
      const differs =
        twin &&
        (`${twin.shape}` !== `${tensor.shape}` || twin.values.some((value, i) => value !== tensor.values[i]));
      if (differs && twin.path === path)
        throw new InvalidWeightsError(
          `${path}: '${twin.original}' and '${original}' both are '${name}' here, with other values; ` +
            'save the one that is meant in a file of its own',
        );
      if (differs)
        throw new InvalidWeightsError(
          `'${original}' is in ${twin.path} and in ${path} with other values; give one of the two files`,
        );
      all.set(name, { ...tensor, path, original });
    }
  return all;
}

/**
 * The teacher of a file under torchvision's names, whatever was put before them. Every file that {@link
 * importStateDicts} takes can serve a training too.
 *
 * @param what name of the file, for error messages
 * @throws Error where two tensors with other values have one name
 */
export function teacherFile(file: SafetensorsFile, what: string): SafetensorsFile {
  const prefix = 'teacher.';
  const tensors = new Map(
    [...renamed([{ path: what, tensors: file.tensors }])]
      .filter(([name]) => name.startsWith(prefix))
      .map(([name, { shape, values, type }]) => [name.slice(prefix.length), { shape, values, type }]),
  );
  return { tensors, metadata: file.metadata };
}

/**
 * Joins files into a model.
 *
 * @param wanted the backbone that the user named; undefined: found by the shapes
 * @throws Error naming what is missing, of another shape, there twice, or unknown
 */
export function importStateDicts(files: readonly SourceFile[], wanted?: Teacher): ImportReport {
  const all = renamed(files);
  const backbone = wanted ?? detectBackbone(all);
  if (!backbone)
    throw new InvalidWeightsError(
      `the shapes in ${files.map(({ path }) => path).join(', ')} are those of no known backbone; ` +
        '--backbone names one',
    );
  const has = (prefix: string) => [...all.keys()].some((name) => name.startsWith(prefix));
  const amplified = amplifierNames.some((name) => has(`teacher.${name}.`));
  const rebuilt = has('bottleneck.') || has('student.');
  const kind = rebuilt ? 'detector' : 'teacher';
  const mode: Mode = amplified ? 'aand' : 'rd';
  if (amplified && !rebuilt)
    throw new InvalidWeightsError(
      'these files hold stage I only (teacher and amplification); the stage-II file with bn and ' +
        'decoder_ss is needed too',
    );
  const specs = detectorParameters(backbone, mode).specs.filter(
    ({ name }) => kind === 'detector' || name.startsWith('teacher.'),
  );
  const tensors = matched(specs, all, backbone);
  const used = new Set(tensors.keys());
  const ignored = [...all]
    .filter(([name]) => !used.has(name))
    .map(([name, { path, original }]) => ({
      path,
      name: original,
      reason: knownUnused(name) ?? 'not part of the model',
    }));
  return { kind, mode, backbone, tensors, ignored };
}

function matched(
  specs: readonly ParameterSpec[],
  all: ReadonlyMap<string, NamedTensor>,
  backbone: Teacher,
): Map<string, StoredTensor> {
  const missing: string[] = [];
  const tensors = new Map<string, StoredTensor>();
  for (const spec of specs) {
    const tensor = all.get(spec.name);
    if (!tensor) {
      missing.push(spec.name);
      continue;
    }
    const expected = storedShape(spec);
    if (`${tensor.shape}` !== `${expected}`)
      throw new InvalidWeightsError(
        `${tensor.path}: '${tensor.original}' is [${tensor.shape}], ${backbone.name} needs ` +
          `[${expected}]; is it the right backbone?`,
      );
    const bad = firstNonFinite(tensor.values);
    if (bad >= 0)
      throw new InvalidWeightsError(
        `${tensor.path}: '${tensor.original}' holds ${tensor.values[bad]} at index ${bad}`,
      );
    tensors.set(spec.name, { shape: tensor.shape, values: tensor.values, type: tensor.type });
  }
  if (missing.length) {
    const lacking = ['teacher.', 'bottleneck.', 'student.'].filter((prefix) =>
      missing.some((name) => name.startsWith(prefix)),
    );
    const advice = lacking.includes('teacher.') ? "; RD4AD's files need torchvision's beside them" : '';
    throw new InvalidWeightsError(`${missing.length} tensors are missing (${some(missing)})${advice}`);
  }
  return tensors;
}
