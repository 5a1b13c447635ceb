/** What makes the training of a detector this one and no other. */

import type { ParameterStore } from '../engine/runtime/store.ts';
import { type Stage, stageName, usesAnomalies } from '../model/method.ts';
import { detectorParameters, methodNamed } from '../model/methods.ts';
import { teacherFile } from '../weights/import.ts';
import type { CheckedOptions } from './check_options.ts';
import { defaultCoreset } from './memory_bank.ts';
import { imagesDigest, masksDigest, type Run, sha256, tensorsDigest } from './run.ts';
import { defaultRate } from './schedule.ts';

/**
 * What makes this training the one that it is: settings, and digests of the images as they are trained on,
 * the foregrounds, the teacher's tensors and the textures. Paths are no part of it.
 */
export async function describeRun(o: Omit<CheckedOptions, 'engine'>): Promise<Run> {
  const set = detectorParameters(o.backbone, o.mode);
  const names = (prefix: string) =>
    set.specs.flatMap(({ name }) => (name.startsWith(prefix) ? [name.slice(prefix.length)] : []));
  return {
    settings: {
      backbone: o.backbone.name,
      mode: o.mode,
      'image size': o.imageSize,
      batch: o.batch,
      'epochs of stage I and II': o.epochs,
      'learning rate': o.baseRate ?? defaultRate,
      seed: o.seed,
      variant: o.variant ?? '',
      ...(o.robust && { 'changes in every epoch': o.robust }),
      ...(methodNamed(o.mode).learns === 'memory' && { coreset: o.coreset ?? defaultCoreset }),
    },
    inputs: {
      'the photographs': await imagesDigest(o.images),
      ...(o.foregrounds && { 'the foreground masks': await masksDigest(o.foregrounds) }),
      ...(o.start
        ? { 'the detector to go on from': await tensorsDigest(o.start.tensors, names('')) }
        : {
            'the teacher': await tensorsDigest(
              teacherFile(o.teacher, o.teacherName).tensors,
              names('teacher.'),
            ),
          }),
      ...(usesAnomalies(methodNamed(o.mode)) &&
        !o.start && { 'the textures': { digest: await sha256(o.textures.digest) } }),
    },
  };
}

/** The run of the stage after this one, which goes on from what this one has made. */
export async function afterStage(run: Run, stage: Stage, store: ParameterStore): Promise<Run> {
  const specs = store.set.specs.filter(({ group }) => group === stage.group);
  const values = await store.read(specs.map(({ name }) => name));
  const tensors = new Map(
    specs.map(({ name, shape }) => [name, { shape, values: values.get(name) as Float32Array }]),
  );
  const result = await tensorsDigest(tensors, [...tensors.keys()]);
  return { ...run, inputs: { ...run.inputs, [`the result of ${stageName(stage)}`]: result } };
}
