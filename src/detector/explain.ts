/**
 * Why an image has its score: the three levels' maps, and what the gate and the residual of the amplification
 * do there.
 */

import { Tape } from '../engine/graph/tape.ts';
import type { Engine } from '../engine/runtime/engine.ts';
import { Program } from '../engine/runtime/program.ts';
import { ProgramCache } from '../engine/runtime/program_cache.ts';
import type { ParameterStore } from '../engine/runtime/store.ts';
import type { Image } from '../image/image.ts';
import { normalize } from '../image/normalize.ts';
import { recordDetection, type StudentMethod } from '../model/method.ts';
import type { Teacher } from '../model/teacher.ts';

/** What one level of the teacher's features says of an image: `side` x `side` values each. */
export interface LevelExplanation {
  readonly side: number;
  /** 1 - cosine of amplified and rebuilt features [side, side]: this level's share of the map. */
  readonly distance: Float32Array;
  /**
   * Gate 0 to 1 [side, side]: how much a place looks like a synthetic anomaly; undefined without
   * amplification.
   */
  readonly gate: Float32Array | undefined;
  /**
   * |A - F| / |F| [side, side]: how far amplification moves the features; undefined without amplification.
   */
  readonly residual: Float32Array | undefined;
}

/** 1 - cosine and |a - b| / |a| of the rows of [positions, channels]. */
function compareRows(a: Float32Array, b: Float32Array, positions: number) {
  const channels = a.length / positions;
  const distance = new Float32Array(positions);
  const change = new Float32Array(positions);
  for (let p = 0; p < positions; p++) {
    let [dot, aa, bb, dd] = [0, 0, 0, 0];
    for (let i = p * channels; i < (p + 1) * channels; i++) {
      const [x, y] = [a[i] as number, b[i] as number];
      dot += x * y;
      aa += x * x;
      bb += y * y;
      dd += (x - y) * (x - y);
    }
    distance[p] = 1 - dot / (Math.max(Math.sqrt(aa), 1e-8) * Math.max(Math.sqrt(bb), 1e-8));
    change[p] = Math.sqrt(dd) / Math.max(Math.sqrt(aa), 1e-8);
  }
  return { distance, change };
}

/** The explaining program of a detector; compiled at the first image, used for all. */
export class Explainer {
  readonly #programs = new ProgramCache<'explain'>();
  readonly #compile: () => Promise<Program>;
  readonly #sides: number[];

  constructor(
    engine: Engine,
    store: ParameterStore,
    backbone: Teacher,
    method: StudentMethod,
    imageSize: number,
  ) {
    const tape = new Tape(store.set);
    const images = tape.input('images', [1, imageSize, imageSize, 3], 'channels');
    const { features, amplified, students, gates } = recordDetection(tape, images, backbone, method);
    const outputs = Object.fromEntries(
      [features, amplified, students, gates].flatMap((list, kind) =>
        list.map((tensor, level) => [`${['feature', 'amplified', 'student', 'gate'][kind]}${level}`, tensor]),
      ),
    );
    this.#sides = features.map(({ shape }) => shape[1] as number);
    this.#compile = () => Program.compile(engine, tape, { outputs, store });
  }

  /** @param image resized to the model's size */
  async explain(image: Image): Promise<LevelExplanation[]> {
    const program = await this.#programs.get('explain', this.#compile);
    const result = await program.run({ images: normalize(image) });
    return this.#sides.map((side, level) => {
      const [feature, amplified, student] = ['feature', 'amplified', 'student'].map(
        (name) => result[`${name}${level}`] as Float32Array,
      ) as [Float32Array, Float32Array, Float32Array];
      const gate = result[`gate${level}`];
      return {
        side,
        distance: compareRows(amplified, student, side * side).distance,
        gate,
        residual: gate && compareRows(feature, amplified, side * side).change,
      };
    });
  }

  /** After the parameters were written. */
  refresh(): Promise<void> {
    return this.#programs.refresh();
  }

  /** GPU bytes of its program. */
  get bytes(): number {
    return this.#programs.bytes;
  }

  close(): Promise<void> {
    return this.#programs.close();
  }
}
