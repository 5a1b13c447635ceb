/** Gathers the pictures of a report and writes it. */
import { encodeWebp, loadResized, readBytes } from '#platform';
import type { Tiling } from '../data/tiles.ts';
import { reading, type UnreadableFiles } from '../data/unreadable.ts';
import type { MapRunner } from '../detector/map_runner.ts';
import { jet } from '../eval/colour_maps.ts';
import type { Evaluation, TestedImage, TestSet } from '../eval/evaluate.ts';
import type { Findings } from '../eval/findings.ts';
import type { Scale } from '../eval/marks.ts';
import { isAnomalous, normalizeScore, scoreText } from '../eval/thresholds.ts';
import type { Image } from '../image/image.ts';
import { resizeNearest } from '../image/resize.ts';
import type { OutputFolder } from '../output/folder.ts';
import { type Figure, reportPage } from '../report/report.ts';
import { packagedFile } from './package.ts';
import { resultPicture } from './results.ts';

const perGallery = 4;
const explained = 2;

async function dataUri(image: Image): Promise<string> {
  return `data:image/webp;base64,${Buffer.from(await encodeWebp(image)).toString('base64')}`;
}

/** Values 0 to `top` in colours. */
function coloured(values: Float32Array, side: number, top: number): Image {
  const data = new Uint8Array(side * side * 3);
  values.forEach((value, i) => {
    data.set(jet(Math.min(1, Math.max(0, value / top))), i * 3);
  });
  return resizeNearest({ width: side, height: side, channels: 3, data }, 192, 192);
}

async function explanation(runner: MapRunner, tested: TestedImage) {
  const size = runner.imageSize;
  const image = await reading(tested.path, () => loadResized(tested.path, size));
  const levels = await runner.explain(image);
  // A method that rebuilds nothing has no levels to show.
  if (!levels.length) return undefined;
  const largest = (pick: (level: (typeof levels)[number]) => Float32Array | undefined) =>
    levels.reduce(
      (top, level) => (pick(level) ?? new Float32Array()).reduce((a, b) => Math.max(a, b), top),
      1e-6,
    );
  const distanceTop = largest(({ distance }) => distance);
  const residualTop = largest(({ residual }) => residual);
  const figures: Figure[] = [{ uri: await dataUri(image), caption: 'image' }];
  for (const [i, { side, distance, gate, residual }] of levels.entries()) {
    const name = `level ${i + 1} (${side}x${side})`;
    figures.push({
      uri: await dataUri(coloured(distance, side, distanceTop)),
      caption: `${name}: distance, red = ${distanceTop.toFixed(2)}`,
    });
    if (gate)
      figures.push({ uri: await dataUri(coloured(gate, side, 1)), caption: `${name}: gate, red = 1` });
    if (residual)
      figures.push({
        uri: await dataUri(coloured(residual, side, residualTop)),
        caption: `${name}: residual, red = ${residualTop.toFixed(2)}`,
      });
  }
  return { title: `${tested.defect}/${tested.stem}`, figures };
}

/** Writes report.html. */
export async function writeReport(
  output: OutputFolder,
  o: {
    readonly report: Readonly<Record<string, unknown>>;
    readonly results: TestSet;
    readonly evaluation: Evaluation;
    readonly findings: Findings;
    readonly scale: Scale | null;
    readonly runner: MapRunner;
    readonly tiling: Tiling | undefined;
    readonly unreadable: UnreadableFiles;
  },
): Promise<void> {
  const { results, scale } = o;
  const limit = scale?.score ?? null;
  const wordsOf = (score: number) => {
    const normalized = normalizeScore(score, limit);
    const raw = `raw ${score.toFixed(3)}`;
    return normalized === null ? raw : `score ${scoreText(normalized)} (${raw})`;
  };
  const ranked = [...results.images.entries()].sort(([, a], [, b]) => b.score - a.score);
  const pick = (anomalous: boolean, called: boolean) =>
    ranked.filter(([, t]) => t.anomalous === anomalous && isAnomalous(t.score, limit) === called);
  const figures = async (list: typeof ranked): Promise<Figure[]> => {
    const made: Figure[] = [];
    for (const [i, tested] of list.slice(0, perGallery)) {
      const map = await results.map(i);
      const picture = await o.unreadable.skip(() => resultPicture(tested, map, scale));
      if (!picture) continue;
      made.push({
        uri: await dataUri(picture),
        caption: `${tested.path}, ${wordsOf(tested.score)}`,
      });
    }
    return made;
  };
  const found = pick(true, true);
  // Levels lie on one image; of blended tiles there is no such picture.
  const toExplain = o.tiling ? [] : (found.length ? found : ranked).slice(0, explained);
  const explanations = [];
  for (const [, tested] of toExplain) {
    const explained = await o.unreadable.skip(() => explanation(o.runner, tested));
    if (explained) explanations.push({ ...explained, title: `${explained.title}, ${wordsOf(tested.score)}` });
  }
  const charts = new TextDecoder().decode(await readBytes(packagedFile('dist/chart.umd.min.js')));
  const page = await reportPage(
    {
      report: o.report,
      images: results.images,
      evaluation: o.evaluation,
      findings: o.findings,
      scale,
      falseAlarms: await figures(pick(false, true)),
      misses: await figures(pick(true, false).reverse()),
      found: await figures(found),
      explanations,
    },
    charts,
  );
  await output.write('report.html', page);
}
