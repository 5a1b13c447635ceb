/**
 * The bench: time of the ResNet-18 teacher and of whole detectors on this adapter, beside its measured peaks; the kernel files
 * with their sizes; and how many pipelines training plus inference create. `npm run bench [-- --json FILE] [--quick]`
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Benchmark from 'benchmark';
import { packagedFile } from '../src/cli/package.ts';
import { Engine } from '../src/engine/device.ts';
import { ParameterStore } from '../src/engine/parameters.ts';
import { measurePeaks } from '../src/engine/peak.ts';
import { Program } from '../src/engine/program.ts';
import { RandomStream } from '../src/engine/random.ts';
import { Tape } from '../src/engine/tape.ts';
import type { Tensor } from '../src/engine/tensor.ts';
import { backbones, teacher } from '../src/model/backbone.ts';
import { detect, detectorParameters, groups, targets, teacherScope } from '../src/model/detector.ts';
import { initialize } from '../src/model/initialize.ts';
import { recordAmplification } from '../src/train/amplify.ts';
import { recordDistillation } from '../src/train/distill.ts';
import { StepPrograms } from '../src/train/step_programs.ts';

interface Measurement {
  readonly name: string;
  readonly median_ms: number;
  /** Half of the spread between the quartiles, relative to the median. */
  readonly spread: number;
  readonly runs: number;
  readonly gflops: number;
  readonly dispatches: number;
  readonly peak_bytes: number;
}

/** Times a program after a warm-up; at least `runs` runs. */
async function measure(
  name: string,
  program: Program,
  images: Float32Array,
  flops: number,
  runs: number,
): Promise<Measurement> {
  await program.run({ images });
  const samples = await new Promise<number[]>((resolve, reject) => {
    new Benchmark(name, {
      defer: true,
      async: true,
      initCount: 1,
      minSamples: runs,
      minTime: 0.001,
      maxTime: 20,
      fn: (deferred: { resolve(): void }) => {
        program.run({ images }).then(() => deferred.resolve(), reject);
      },
      onComplete(this: Benchmark) {
        resolve(this.stats.sample.map((seconds) => seconds * 1000));
      },
    }).run();
  });
  samples.sort((a, b) => a - b);
  const at = (share: number) => samples[Math.min(samples.length - 1, Math.floor(share * samples.length))] as number;
  const median = at(0.5);
  return {
    name,
    median_ms: median,
    spread: (at(0.75) - at(0.25)) / 2 / median,
    runs: samples.length,
    gflops: flops / median / 1e6,
    dispatches: program.dispatchCount,
    peak_bytes: program.bytes,
  };
}

function randomImages(size: number): Float32Array {
  const random = new RandomStream('bench');
  return Float32Array.from({ length: size * size * 3 }, () => random.normal());
}

async function main(): Promise<void> {
  const args = process.argv.slice(2);
  const json = args.includes('--json') ? args[args.indexOf('--json') + 1] : undefined;
  const quick = args.includes('--quick');
  const runs = quick ? 3 : 10;
  const engine = await Engine.open({ onNotice: (message) => console.error(`note: ${message}`) });
  try {
    const peaks = await measurePeaks(engine);
    console.log(
      `adapter ${engine.adapter.description || engine.target.name}, subgroup size ${engine.target.subgroupSize}`,
    );
    console.log(`peaks ${peaks.gflops.toFixed(0)} GFLOP/s, ${peaks.gbytesPerSecond.toFixed(1)} GB/s (measured)`);
    const backbone = backbones.resnet18;
    const set = detectorParameters(backbone, 'aand');
    const store = new ParameterStore(engine, set);
    initialize(store, set.groups, 0);
    const size = 256;
    const images = randomImages(size);
    const results: Measurement[] = [];
    const record = async (name: string, build: (tape: Tape) => Record<string, Tensor>) => {
      const tape = new Tape(set);
      const outputs = build(tape);
      const flops = tape.nodes.reduce(
        (sum, node) => sum + node.definition.lower(node, engine.target).reduce((s, d) => s + (d.flops ?? 0), 0),
        0,
      );
      const program = await Program.compile(engine, tape, { outputs, store });
      const result = await measure(name, program, images, flops, runs);
      program.destroy();
      results.push(result);
      const share = (100 * result.gflops) / peaks.gflops;
      console.log(
        `${name.padEnd(36)} ${result.median_ms.toFixed(1).padStart(8)} ms  +-${(100 * result.spread).toFixed(0)} %  ` +
          `${result.gflops.toFixed(1).padStart(7)} GFLOP/s (${share.toFixed(0)} % of peak)  ${result.dispatches} dispatches`,
      );
    };
    const input = (tape: Tape) => tape.input('images', [1, size, size, 3], 'channels');
    await record('resnet18-teacher/forward/1x3x256x256', (tape) => {
      const features = teacher(teacherScope(tape), input(tape), backbone);
      return Object.fromEntries(features.map((tensor, i) => [`feature${i}`, tensor]));
    });
    await record('aand-resnet18/infer/1x3x256x256', (tape) => {
      const { map, score } = detect(tape, input(tape), backbone, 'aand');
      return { map, score };
    });

    // What a whole training and its inference compile, at the settings of the README's example.
    const own = await Engine.open();
    const ownStore = new ParameterStore(own, set);
    const trainSize = 128;
    const batch = 16;
    const stage1 = new StepPrograms(own, ownStore, groups.amplification, (tape, n) =>
      recordAmplification(tape, backbone, trainSize, n),
    );
    await stage1.program(batch);
    const stage2 = new StepPrograms(own, ownStore, groups.student, (tape, n) =>
      recordDistillation(tape, { backbone, mode: 'aand', size: trainSize, batch: n, cached: true }),
    );
    await stage2.program(batch);
    for (const build of [
      (tape: Tape) => {
        const { amplified } = targets(
          tape,
          tape.input('images', [batch, trainSize, trainSize, 3], 'channels'),
          backbone,
          'aand',
        );
        return Object.fromEntries(amplified.map((tensor, i) => [`target${i}`, tensor]));
      },
      (tape: Tape) => {
        const { map, score } = detect(
          tape,
          tape.input('images', [1, trainSize, trainSize, 3], 'channels'),
          backbone,
          'aand',
        );
        return { map, score };
      },
    ]) {
      const tape = new Tape(set);
      await Program.compile(own, tape, { outputs: build(tape), store: ownStore });
    }
    const pipelines = own.pipelineCount;
    await own.close();
    console.log(`pipelines of training (both stages) plus inference: ${pipelines}`);

    const kernelFolder = packagedFile('kernels');
    const kernels = readdirSync(kernelFolder)
      .filter((name) => name.endsWith('.wesl'))
      .map((name) => ({ name, lines: readFileSync(join(kernelFolder, name), 'utf8').split('\n').length - 1 }));
    for (const { name, lines } of kernels) console.log(`  kernels/${name.padEnd(28)} ${lines} lines`);
    if (json)
      writeFileSync(
        json,
        `${JSON.stringify({ adapter: engine.adapter, peaks, pipelines, results, kernels }, null, 2)}\n`,
      );
    store.destroy();
  } finally {
    await engine.close();
  }
}

await main();
