/** The model room: teachers and methods by their description; a second family of teachers is a file. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { randomWeights } from '../bench/support/random_weights.ts';
import { Detector } from '../src/detector/detector.ts';
import { readDetector, writeDetector } from '../src/detector/file.ts';
import { newSettings } from '../src/detector/settings.ts';
import { Tape } from '../src/engine/graph/tape.ts';
import { Engine } from '../src/engine/runtime/engine.ts';
import { measurePeaks } from '../src/engine/runtime/peak.ts';
import { backboneNamed, backboneNames, backbones, registerBackbone } from '../src/model/backbones.ts';
import { groups, teacherFeatures } from '../src/model/groups.ts';
import { stageName, usesAnomalies } from '../src/model/method.ts';
import { detectorParameters, methodNamed, modes, studentModes } from '../src/model/methods.ts';
import { checkTeacher, featureShapes, gridSide, type Teacher } from '../src/model/teacher.ts';
import { proceduralTextures } from '../src/synthetic/procedural_textures.ts';
import { forecastTraining } from '../src/train/forecast_training.ts';
import { trainDetector } from '../src/train/train_detector.ts';
import { detectBackbone } from '../src/weights/import.ts';
import { storedShape } from '../src/weights/names.ts';
import { picture, tinyTeacher } from './support/tiny_teacher.ts';

const size = 32;
let engine: Engine;
beforeAll(async () => {
  registerBackbone(tinyTeacher);
  engine = await Engine.open();
});
afterAll(() => engine.close());

/** Shapes that a teacher records for images of 64 pixels. */
function recordedShapes(teacher: Teacher): (readonly number[])[] {
  const set = detectorParameters(teacher, 'rd');
  const tape = new Tape(set);
  const images = tape.input('images', [1, 64, 64, 3], 'channels');
  return teacherFeatures(tape, images, teacher).map(({ shape }) => shape.slice(1));
}

describe('teachers', () => {
  test.each([
    'resnet18',
    'resnet18_half',
    'resnet34',
    'resnet50',
    'wide_resnet50_2',
    'tiny',
  ])('%s records the pyramid that it describes', (name) => {
    const teacher = backboneNamed(name);
    expect(recordedShapes(teacher)).toEqual(featureShapes(teacher, 64));
    expect(() => checkTeacher(teacher)).not.toThrow();
  });

  test('the levels of the known backbones are those of torchvision', () => {
    const channels = (teacher: Teacher) => teacher.levels.map((level) => level.channels);
    expect(channels(backbones.resnet18)).toEqual([64, 128, 256]);
    expect(channels(backbones.resnet18_half)).toEqual([32, 64, 128]);
    expect(channels(backbones.wide_resnet50_2)).toEqual([256, 512, 1024]);
    expect(backbones.resnet34.levels.map((level) => gridSide(level, 256))).toEqual([64, 32, 16]);
  });

  test('an unknown name lists the known ones, a registered one is among them', () => {
    expect(backboneNames()).toContain('tiny');
    expect(() => backboneNamed('vgg')).toThrow(/unknown backbone 'vgg'; known are resnet18, .*tiny/);
    expect(() => registerBackbone(tinyTeacher)).toThrow("there is a backbone 'tiny' already");
  });

  const [fine, middle, coarse] = tinyTeacher.levels;
  test.each<[string, Partial<Teacher>, RegExp]>([
    ['a name with blanks', { name: 'my net' }, /its name is not plain/],
    ['two levels', { levels: [fine, middle] as never }, /it has 2 levels, a detector needs 3/],
    [
      'a level that is not half as fine',
      { levels: [fine, middle, { ...coarse, stride: 32 }] },
      /expected twice/,
    ],
    ['odd channels', { levels: [{ ...fine, channels: 10 }, middle, coarse] }, /level 1 has 10 channels/],
    [
      'grids that images of 32 pixels do not divide into',
      { levels: [8, 16, 32].map((stride) => ({ stride, channels: 8 })) as never },
      /its coarsest stride is 32/,
    ],
  ])('a pyramid with %s is refused by name', (_, change, message) => {
    const broken = { ...tinyTeacher, name: 'broken', ...change };
    expect(() => registerBackbone(broken)).toThrow(message);
    expect(backboneNames()).not.toContain(broken.name);
  });

  test('the shapes of a file tell a half resnet18 from a whole one', () => {
    for (const teacher of [backbones.resnet18, backbones.resnet18_half]) {
      const tensors = detectorParameters(teacher, 'aand').specs.map((spec) => {
        const shape = storedShape(spec);
        return [spec.name, { shape, values: new Float32Array(0), type: 'F32' }] as const;
      });
      expect(detectBackbone(new Map(tensors))?.name).toBe(teacher.name);
    }
  });
});

describe('methods', () => {
  test('the ablation: what each trains, on what, and with which rate', () => {
    const stages = studentModes.map((mode) =>
      methodNamed(mode).stages.map((stage) => [stageName(stage), stage.group, stage.samples, stage.schedule]),
    );
    const first = ['stage I', 'amplification', 'synthetic anomalies', 'steps'];
    const second = ['stage II', 'student', 'good images', 'steps'];
    expect(modes).toEqual(['rd', 'raa', 'hkd', 'aand', 'patchcore']);
    expect(stages).toEqual([
      [['stage II', 'student', 'good images', 'constant']],
      [first, second],
      [second],
      [first, second],
    ]);
    expect(modes.map((mode) => usesAnomalies(methodNamed(mode)))).toEqual([false, true, false, true, false]);
  });

  test('a stage trains parameters that the method has', () => {
    for (const mode of studentModes)
      for (const { group } of methodNamed(mode).stages)
        expect(detectorParameters(tinyTeacher, mode).groups).toContain(group);
  });
});

describe.each([tinyTeacher, backbones.resnet18_half])('a detector on $name', (backbone) => {
  test('is planned, trains a step of each stage, is written, opened and predicts', async () => {
    const teacher = await randomWeights(engine, backbone);
    const shape = { mode: 'aand', imageSize: size, batch: 2, epochs: [1, 1] } as const;
    const planned = forecastTraining(engine, await measurePeaks(engine), backbone, shape, 2);
    expect(planned.bytes).toBeGreaterThan(10_000);

    const { store, history } = await trainDetector({
      engine,
      backbone,
      teacher,
      teacherName: 'random weights',
      images: [picture(0, size), picture(1, size)],
      textures: proceduralTextures(),
      seed: 1,
      ...shape,
    });
    expect(Object.keys(history.stage1[0] ?? {})).toEqual(['focal', 'amplification', 'precision', 'recall']);
    expect(history.stage2[0]?.loss).toBeGreaterThan(0);
    // Filters lie in another order here.
    for (const [name, { shape, values }] of teacher.tensors)
      if (shape.length === 1)
        expect((await store.read([`teacher.${name}`])).get(`teacher.${name}`)).toEqual(values);
    const settings = newSettings({
      backbone: backbone.name,
      mode: 'aand',
      imageSize: size,
      image: null,
      pixel: null,
      calibrationScores: [],
      training: {},
      version: 'test',
    });
    const bytes = await writeDetector(store, settings);
    store.destroy();
    expect((await readDetector(bytes, 'model')).settings.backbone).toBe(backbone.name);
    await using detector = await Detector.open(engine, bytes);
    const [good, bad] = await detector.predict([picture(0, size), picture(0, size, true)]);
    expect(good?.map).toHaveLength(size * size);
    expect(good?.map.every(Number.isFinite)).toBe(true);
    expect(bad?.score).not.toBe(good?.score);
    const levels = await detector.runner.explain(picture(0, size));
    expect(levels.map(({ side }) => side)).toEqual([8, 4, 2]);
    expect(levels.every(({ gate }) => gate?.every((value) => value > 0 && value < 1))).toBe(true);
  });
});

test('the group of the teacher is frozen in every stage', () => {
  for (const mode of studentModes)
    expect(methodNamed(mode).stages.map(({ group }) => group)).not.toContain(groups.teacher);
});
