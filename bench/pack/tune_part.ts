/** `aand tune` within a budget: the fastest kernels of this device, for the parts that follow. */
import { writeFileSync } from 'node:fs';
import { describeKernel } from '../../src/engine/device/families.ts';
import { describeEntry } from '../../src/engine/device/tuning.ts';
import { backbones } from '../../src/model/backbones.ts';
import { tuneModel } from '../../src/train/tune_model.ts';
import type { Part } from './part.ts';

/** Seconds for the product that is being timed when the time is up. */
const lastProduct = 6;

export const tunePart: Part = {
  name: 'tune',
  title: 'Tuning',
  about:
    "Every candidate of a matrix product timed and compared with the table's choice. Regret: the time of " +
    "the table's choice by that of the fastest. A candidate that computes something else, or does not " +
    'compile, fails.',
  seconds: 70,
  async run(context) {
    const { quick } = context.settings;
    const chosen = quick ? [backbones.resnet18] : [backbones.resnet18, backbones.wide_resnet50_2];
    await context.withEngine({}, async (engine) => {
      for (const [i, backbone] of chosen.entries()) {
        // The last product begins before the time is up, and has some seconds of its own.
        const left = (context.secondsLeft - lastProduct) / (chosen.length - i);
        const seconds = quick ? Math.min(left, 8) : left;
        await tuneModel({
          engine,
          backbone,
          imageSize: quick ? 64 : 256,
          batch: quick ? 2 : 16,
          known: context.tunings,
          signal: AbortSignal.timeout(Math.max(1, Math.round(1000 * seconds))),
          keep: async (tunings) => writeFileSync(context.tuningsFile, JSON.stringify(tunings)),
          onEntry: (key, entry) =>
            context.keep({
              name: `${backbone.name} ${key}`,
              passed: true,
              figures: {
                'best ms': entry.milliseconds,
                'table ms': entry.tableMilliseconds,
                regret: entry.tableMilliseconds / entry.milliseconds,
                kernel: describeEntry(entry),
              },
            }),
          onRejected: (key, configuration, reason) => {
            const text = `${describeKernel(configuration)}: ${reason.slice(0, 300)}`;
            context.keep({ name: `${backbone.name} ${key}`, passed: false, figures: {}, note: text });
          },
        });
      }
    });
  },
};
