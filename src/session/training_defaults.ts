/**
 * What a training takes where nobody says otherwise, by the number of good images: one rule for command line,
 * page and library. From 64 images on it is the usual schedule, and a share of the images is held out.
 */

import { augmentedCount } from '../data/augment.ts';

/** Epochs of stage I and II, and images per step. */
export interface Schedule {
  readonly epochs: readonly [number, number];
  readonly batch: number;
}

/** The paper's schedule: the command line's. */
export const paperSchedule: Schedule = { epochs: [100, 120], batch: 16 };

/** What a training takes where nobody says otherwise, whatever the number of images. */
export const trainingDefaults = {
  backbone: 'resnet18',
  mode: 'aand',
  imageSize: 256,
  batch: paperSchedule.batch,
  seed: 0,
} as const;

/** Fewer images than these are trained for as many steps as these would be. */
export const fewImages = 64;

/** Share of the good images that is held out for the threshold where there is no test set. */
export const holdOutShare = 0.1;

/** Of fewer images none is held out, for a share of them tells next to nothing: they are left out in turn. */
export const holdOutLeast = 32;

/** Parts that few images are left out in: two trainings on halves cost as much as one on all. */
const mostParts = 2;

/** Optimiser steps of an epoch; the last one may have fewer images. */
export function stepsPerEpoch(images: number, batch: number): number {
  return Math.ceil(images / batch);
}

/**
 * The epochs of both stages for so many images. One epoch of 4 images is one step, of 64 images it is four:
 * by epochs alone few images would hardly be trained.
 *
 * @param images 1 or more that are trained on, copies included
 * @param usual what is trained from 64 images on
 */
export function epochsFor(images: number, usual: Schedule = paperSchedule): readonly [number, number] {
  const steps = stepsPerEpoch(images, usual.batch);
  const least = stepsPerEpoch(fewImages, usual.batch);
  const of = (epochs: number) => Math.max(epochs, Math.ceil((epochs * least) / steps));
  return [of(usual.epochs[0]), of(usual.epochs[1])];
}

/** Images with the changed copies that are made of them. */
export function withCopies(images: number): number {
  return images * Math.max(2, Math.ceil(augmentedCount / images));
}

/**
 * In how many parts good images are left out in turn, each judged by a detector that learned the others: all
 * of them then say something of the threshold, and all are trained on.
 *
 * @param images good images
 * @returns 0 where none are left out: a single image cannot be, and of many a share is held out
 */
export function foldsFor(images: number): number {
  return images < 2 || images >= holdOutLeast ? 0 : Math.min(mostParts, images);
}
