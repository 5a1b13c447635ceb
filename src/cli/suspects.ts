/** `aand data --suspects`: the training images that look least like the others, for a person to judge. */
import { basename, join } from 'node:path';
import { decodeImage, encodePng, readBytes } from '#platform';
import { mapConcurrently } from '../base/concurrently.ts';
import type { Dataset } from '../data/dataset.ts';
import { nameInList } from '../data/leave_out.ts';
import type { RegionOfInterest } from '../data/region.ts';
import { suspectSheet } from '../eval/suspect_sheet.ts';
import { backboneNamed } from '../model/backbones.ts';
import type { OutputFolder } from '../output/folder.ts';
import type { Reporter } from '../session/ports.ts';
import { clearOutliers, type RankedImage, rankImages, suspectCount } from '../session/suspects.ts';
import { interruptSignal, readWeights, withEngine } from './common.ts';
import { teacherPathFor } from './training_options.ts';

/** Files that the command writes beside the contact sheet. */
export const suspectFiles = { sheet: 'suspects.png', list: 'suspects.txt' } as const;

/** Share of the training images that is shown where nobody says how many. */
export const usualSuspects = 0.1;
/** Pictures on the sheet: more are too many to look at. */
const mostPictures = 60;

export interface SuspectOptions {
  /** A number of images, or below 1 a share of them. */
  readonly suspects: number;
  readonly backbone: string;
  readonly weights?: string;
  readonly region?: RegionOfInterest | undefined;
  readonly out: string;
}

/** A ranked image as it is printed and listed. */
export interface ListedSuspect {
  readonly rank: number;
  readonly file: string;
  readonly score: number;
}

async function drawSheet(shown: readonly RankedImage[], dataset: Dataset, total: number) {
  const images = await mapConcurrently(shown, async ({ sample, score, map, side }, i) => ({
    image: await decodeImage(await readBytes(sample.path), sample.path),
    labels: [`${i + 1}: ${score.toFixed(2)}`, basename(sample.path)] as const,
    map,
    side,
  }));
  const title =
    `${dataset.name}: the ${shown.length} of ${total} training images that look least like the others, ` +
    'each with its strangest spot beside it';
  return encodePng(suspectSheet(images, title));
}

function listText(suspects: readonly ListedSuspect[], category: string): string {
  return [
    '# Suspects, the most suspicious first. Delete the lines of good parts, then give this list to',
    `# aand train ${category} --leave-out ${suspectFiles.list}`,
    ...suspects.map(({ file }) => file),
    '',
  ].join('\n');
}

/**
 * Ranks the training images, those of the threshold too, and writes a sheet and a list of the first ones.
 *
 * @returns the first ones, and how many stand out clearly
 */
export async function showSuspects(
  category: string,
  dataset: Dataset,
  options: SuspectOptions,
  output: OutputFolder,
  reporter: Reporter,
): Promise<{ readonly suspects: readonly ListedSuspect[]; readonly clear: number }> {
  const { suspects: wanted, backbone, region } = options;
  const samples = [...dataset.train, ...(dataset.validation ?? [])];
  const teacherName = teacherPathFor(options);
  const teacher = await readWeights(teacherName);
  const signal = interruptSignal();
  const ranked = await withEngine((engine) =>
    rankImages(engine, samples, {
      backbone: backboneNamed(backbone),
      teacher,
      teacherName,
      region,
      reporter,
      signal,
    }),
  );
  const count =
    wanted < 1 ? Math.max(1, suspectCount(wanted, ranked.length)) : Math.min(wanted, ranked.length);
  const suspects = ranked.slice(0, count).map(({ sample, score }, i) => ({
    rank: i + 1,
    file: nameInList(sample, dataset),
    score,
  }));
  const shown = ranked.slice(0, Math.min(count, mostPictures));
  await output.write(suspectFiles.sheet, await drawSheet(shown, dataset, ranked.length));
  await output.write(suspectFiles.list, listText(suspects, category));
  return { suspects, clear: clearOutliers(ranked.map(({ score }) => score)) };
}

/** Prints the table, and where sheet and list are. */
export function printSuspects(
  { suspects, clear }: Awaited<ReturnType<typeof showSuspects>>,
  folder: string,
): void {
  console.log('training images that look least like the others:');
  for (const { rank, file, score } of suspects)
    console.log(`  ${`${rank}`.padStart(4)}  ${score.toFixed(3)}  ${file}`);
  console.log(
    clear
      ? `${clear} of all stand out clearly`
      : 'none of all stands out clearly: the list may well be of good parts',
  );
  console.log(`to look at: ${join(folder, suspectFiles.sheet)}`);
  console.log(`list for --leave-out: ${join(folder, suspectFiles.list)}`);
}
