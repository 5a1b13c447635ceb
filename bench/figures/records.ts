/** The records of bench/results: one JSON file per command that measures. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Provenance } from '../../src/bench/provenance.ts';
import type { BenchReport, BenchResult } from '../../src/bench/report.ts';
import type { PeerReport } from '../../src/report/bench_page.ts';
import type { DemoRun } from '../demo.ts';
import type { FirstRun } from '../first_run.ts';
import type { LoadResult } from '../load.ts';
import type { HostReport } from '../static/host.ts';
import type { WalkReport } from '../walk.ts';
import type { FamilyPeers } from './static_peers.ts';

/** Mean and deviation over seeds, in per cent. */
type Measured = readonly [mean: number, deviation: number];

/** The table of `aand benchmark` on real data. */
export interface AccuracyReport {
  readonly record: Provenance;
  readonly runs: readonly {
    readonly mode: string;
    readonly category: string;
    readonly seeds: number;
    readonly image_AUROC: Measured;
    readonly image_AUROC_interval: readonly [number, number];
    readonly pixel_AUROC: Measured;
    readonly AUPRO: Measured;
    readonly AUPRO_per_image: Measured;
    readonly image_AP: Measured;
    readonly image_F1: Measured;
    readonly pixel_F1: Measured;
  }[];
}

/** What a figure needs of the models in 16 bits. */
export interface HalfReport {
  readonly record: Provenance;
  readonly results: readonly Pick<BenchResult, 'name' | 'weight_bytes' | 'peak_bytes' | 'max_abs_error'>[];
}

/** What each file of bench/results holds. */
export interface Records {
  readonly demo: DemoRun & { readonly record: Provenance };
  readonly 'first-run': FirstRun & { readonly record: Provenance };
  readonly peers: PeerReport;
  readonly 'static-peers': { readonly record: Provenance; readonly families: readonly FamilyPeers[] };
  readonly half: HalfReport;
  readonly bench: BenchReport;
  /** Training steps of the large backbones. */
  readonly 'bench-large': BenchReport;
  readonly host: HostReport & { readonly record: Provenance };
  readonly 'serve-load': {
    readonly record: Provenance;
    readonly image_size: number;
    readonly results: readonly LoadResult[];
  };
  readonly walk: WalkReport;
  readonly accuracy: AccuracyReport;
}

/** Which command writes each file. `accuracy` is a table of `aand benchmark`, copied from its JSON. */
export const commands: Readonly<Record<keyof Records, string>> = {
  demo: 'npm run bench -- --demo --json bench/results/demo.json',
  'first-run': 'npm run bench -- --first-run --json bench/results/first-run.json',
  peers: 'npm run bench:peers -- --json bench/results/peers.json',
  'static-peers': 'npm run bench:peers -- --static --json bench/results/static-peers.json',
  half: 'npm run bench -- --filter aand-resnet18/infer --dtype f16 --json bench/results/half.json',
  bench: 'npm run bench -- --json bench/results/bench.json',
  'bench-large': "npm run bench -- --filter '/50.*stage.*x128$/' --json bench/results/bench-large.json",
  host: 'npm run check:gpu -- --host --family NAVI31 --record',
  'serve-load': 'npm run load -- --requests 2000,10000 --json bench/results/serve-load.json',
  walk: 'npm run walk -- --teacher resnet18_half --pictures walk --json bench/results/walk.json',
  accuracy: 'aand benchmark, as docs/results.md has it',
};

/**
 * Reads one record.
 * @param root folder of the checkout
 * @throws Error that names the command which writes the file, where it is missing
 */
export function readRecord<K extends keyof Records>(root: string, name: K): Records[K] {
  const path = join(root, 'bench/results', `${name}.json`);
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Records[K];
  } catch (error) {
    throw new Error(`${path} cannot be read; write it with: ${commands[name]}`, { cause: error });
  }
}
