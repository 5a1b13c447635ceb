/**
 * The benchmark as a user runs it: trained and tested, resumed, the same numbers through a queue. All
 * categories, and a worker that is killed, are in full/benchmark.test.ts.
 */
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { type BenchmarkTask, benchmarkRun, finishedReport } from '../src/cli/benchmark_tasks.ts';
import {
  type BenchmarkRun,
  benchmarkCsv,
  benchmarkMarkdown,
  benchmarkRows,
} from '../src/report/benchmark_table.ts';
import { numbers } from './support/benchmark_numbers.ts';
import { useCommand, useFolder } from './support/command.ts';
import { writeMvtec, writeVisa } from './support/layouts.ts';
import { hasRedis, useRedis } from './support/redis.ts';

const folder = useFolder();
const command = useCommand();
const aand = (...args: string[]) => command.run(args);

beforeAll(async () => {
  await writeMvtec(join(folder, 'mvtec'), 'washer', 0);
  await writeMvtec(join(folder, 'mvtec'), 'fabric', 1);
  await writeVisa(join(folder, 'visa'), 'candle');
});

const quick = ['--image-size', '32', '--batch', '3', '--epochs', '1,2'];

describe('the table', () => {
  const run = (category: string, seed: number, auroc: number | null): BenchmarkRun => ({
    category,
    mode: 'rd',
    seed,
    metrics: { image_AUROC: auroc },
    intervals: { image_AUROC: auroc === null ? null : [auroc - 0.1, auroc + 0.1] },
    trainSeconds: 1,
    adapter: 'a "b"',
  });

  test('means over seeds, then over categories; null where one lacks a value', () => {
    const rows = benchmarkRows([run('x', 0, 0.8), run('x', 1, 0.9), run('y', 0, 0.5)]);
    expect(rows.map(({ category }) => category)).toEqual(['x', 'y', 'mean']);
    expect(rows[0]?.cells.image_AUROC?.mean).toBeCloseTo(0.85, 12);
    expect(rows[0]?.cells.image_AUROC?.deviation).toBeCloseTo(Math.SQRT1_2 / 10, 12);
    expect(rows[1]?.cells.image_AUROC?.deviation).toBeNull();
    expect(rows[2]?.cells.image_AUROC?.mean).toBeCloseTo(0.675, 12);
    expect(rows[2]?.cells.AUPRO?.mean).toBeNull();
    expect(benchmarkRows([run('x', 0, 0.8), run('y', 0, null)])[2]?.cells.image_AUROC?.mean).toBeNull();
  });

  test('per cent with one decimal in Markdown, full precision in CSV', () => {
    expect(benchmarkMarkdown([run('x', 0, 0.8125)], '')).toContain(
      '| rd | x | 0 | 81.3 [71.3, 91.3] | null |',
    );
    expect(benchmarkCsv([run('x', 0, 0.8125)]).split('\n')[1]).toBe(
      'x,rd,0,0.8125,,,,,,,0.7125,0.9125,,,,,1,"a ""b"""',
    );
  });

  test('figures by kind of defect have columns where a data set has them', () => {
    const loco = benchmarkRun(
      { category: 'x', mode: 'rd', seed: 0 },
      {
        image_AUROC: 0.8,
        saturated: { image_AUROC: 0.75, AUsPRO: 0.5, kinds: {} },
        intervals: {},
        seconds: { train: 1 },
        adapter: 'a',
      },
    );
    const lines = benchmarkMarkdown([loco], '').split('\n');
    expect(lines[0]).toMatch(/ P-F1-max \| I-AUROC by kind \| sPRO \|$/);
    expect(lines[2]).toMatch(/^\| rd \| x \| 0 \| 80\.0 \|.* 75\.0 \| 50\.0 \|$/);
    expect(lines.join(' ')).toContain('By kind, and sPRO to a false-positive rate of .05');
    expect(benchmarkCsv([loco]).split('\n')[0]).toContain('pixel_F1Max,image_AUROC_by_kind,AUsPRO,');
    expect(benchmarkMarkdown([run('x', 0, 0.8)], '')).not.toContain('sPRO');
    // Beside a data set without them there is no mean.
    const mixed = benchmarkRows([loco, run('y', 0, 0.5)]);
    expect(mixed.map(({ cells }) => cells.AUsPRO?.mean ?? null)).toEqual([0.5, null, null]);
  });
});

describe('train', () => {
  test('a data set with folders and masks of other names', async () => {
    const out = join(folder, 'out-visa');
    const args = ['--category', 'candle', '--mode', 'rd', '--out', out, ...quick];
    const { code, stderr } = await aand('train', join(folder, 'visa'), ...args);
    expect(stderr).not.toContain('warning');
    expect(code).toBe(0);
    const metrics = JSON.parse(readFileSync(join(out, 'metrics.json'), 'utf8'));
    expect(metrics).toMatchObject({
      format: 'visa',
      counts: { train_good: 6, test_good: 2, test_anomalous: 2, test_without_mask: 0 },
    });
    expect(metrics.AUPRO).toBeTypeOf('number');
    expect(readdirSync(join(out, 'images')).sort()).toEqual(['chip + scratch', 'good', 'rust']);
    expect(readFileSync(join(out, 'report.html'), 'utf8')).toContain('Worst false alarms');
  });

  test('tiles, held-out images, a share of false alarms, the epoch chosen on the test set', async () => {
    const out = join(folder, 'out-tiles');
    const args = [
      '--tile',
      '96',
      '--hold-out',
      '0.34',
      '--threshold',
      'false-alarms:0.5',
      '--select',
      'test-oracle',
      '--labels',
      'mask',
    ];
    const { code, stdout } = await aand(
      'train',
      join(folder, 'mvtec/washer'),
      '--out',
      out,
      '--foreground',
      'otsu-bright',
      ...args,
      ...quick,
    );
    expect(code).toBe(0);
    expect(stdout).toMatch(/epoch 2 chosen ON THE TEST SET/);
    const metrics = JSON.parse(readFileSync(join(out, 'metrics.json'), 'utf8'));
    // Each image's name decides: the share is met on average.
    expect(metrics.counts.train_good).toBe(3);
    expect(metrics.image_threshold.rule).toBe('at most 50 % false alarms on 3 held-out good images');
    expect(metrics.settings).toMatchObject({
      tiling: { size: 96, overlap: 24 },
      held_out: 3,
      foreground: 'otsu-bright',
      labels: 'mask',
    });
    expect(metrics.settings.checkpoint).toContain('test-oracle');
    const predicted = await aand(
      'predict',
      join(out, 'model.safetensors'),
      join(folder, 'mvtec/washer/test/rust'),
      '--out',
      join(folder, 'p'),
      '--json',
    );
    const csv = readFileSync(join(out, 'scores.csv'), 'utf8');
    expect(csv).toContain(`,${JSON.parse(predicted.stdout)[0].raw_score},`);
  });
});

describe('calibrate', () => {
  const model = join(folder, 'out-visa/model.safetensors');
  test('draws the threshold from the scores that the model holds, from images, or by hand', async () => {
    const copy = join(folder, 'calibrated.safetensors');
    const kept = await aand('calibrate', model, '--rule', 'false-alarms:0', '--out', copy);
    expect(kept.stdout).toMatch(
      /is now: [\d.]+ \(at most 0 % false alarms on 2 good images that the model remembers\)\n {2}0 of 2 good/,
    );
    const images = await aand(
      'calibrate',
      copy,
      join(folder, 'visa/candle/Data/Images/Normal'),
      '--rule',
      'quantile:0.5',
    );
    expect(images.stdout).toMatch(
      /is now: [\d.]+ \(quantile 0.5 of 8 good images\)\n {2}4 of 8 good images are called anomalous/,
    );
    const hand = await aand('calibrate', copy, '--rule', 'value:0.25');
    expect(hand.stdout).toMatch(/is now: 0\.25000 \(set by hand\)/);
    expect(
      (await aand('calibrate', copy, '--rule', 'f1', join(folder, 'visa/candle/Data/Images/Normal'))).stderr,
    ).toMatch(/f1 needs good and defective images/);
    expect((await aand('calibrate', copy, '--rule', 'best')).code).toBe(2);
  });
});

const benchmark = (out: string, modes: string, ...more: string[]) => [
  ...['benchmark', join(folder, 'mvtec'), '--out', out, '--categories', 'washer'],
  ...['--modes', modes, '--seeds', '0', ...quick, ...more],
];
const alone = join(folder, 'alone');

describe('benchmark', () => {
  test('every mode; a second call only reads; other settings are refused', async () => {
    const first = await aand(...benchmark(alone, 'rd,aand'));
    expect(first.stderr).toContain('run 2 of 2');
    expect(first.code).toBe(0);
    expect(Object.keys(numbers(alone))).toEqual(['washer/rd/0', 'washer/aand/0']);
    for (const name of ['results.csv', 'results.md', 'results.html'])
      expect(existsSync(join(alone, name)), name).toBe(true);
    const model = join(alone, 'washer/rd/seed0/model.safetensors');
    const { mtimeMs } = statSync(model);
    const second = await aand(...benchmark(alone, 'rd,aand'));
    expect(second.stderr).toContain('2 of 2 runs are finished already');
    expect(second.stdout).toContain('| aand | **mean** |');
    expect(statSync(model).mtimeMs).toBe(mtimeMs);
    const other = await aand(...benchmark(alone, 'rd,aand', '--limit', '3'));
    expect(other.stderr).toMatch(/metrics\.json is of a run with other settings/);
    expect(other.code).toBe(1);
  });

  describe('a finished run is only taken for one that is asked for where nothing differs', () => {
    const copy = join(folder, 'moved');
    const task = (
      options: Partial<BenchmarkTask['options']> = {},
      more: Partial<BenchmarkTask> = {},
    ): BenchmarkTask => ({
      dataset: copy,
      category: 'washer',
      mode: 'aand',
      seed: 0,
      out: join(alone, 'washer/aand/seed0'),
      options: {
        backbone: 'resnet18',
        imageSize: 32,
        batch: 3,
        epochs: [1, 2],
        foreground: 'auto',
        ...options,
      },
      ...more,
    });
    beforeAll(() => {
      for (const name of ['fabric', 'washer'])
        cpSync(join(folder, 'mvtec', name), join(copy, name), { recursive: true });
      const files = readdirSync(join(copy, 'washer/train/good'));
      mkdirSync(join(folder, 'few-textures'));
      cpSync(join(copy, 'washer/train/good', files[0] as string), join(folder, 'few-textures/a.png'));
      copyFileSync('weights/teacher_resnet18.safetensors', join(folder, 'teacher.safetensors'));
    });

    test('the same data and teacher elsewhere are the same', async () => {
      expect(await finishedReport(task())).toMatchObject({ category: 'washer' });
      const weights = join(folder, 'teacher.safetensors');
      expect(await finishedReport(task({ weights }))).toMatchObject({ category: 'washer' });
    });

    test.each<[string, () => BenchmarkTask, RegExp]>([
      ['threshold', () => task({ threshold: 'max' }), /threshold was null and is now \{"kind":"max"\}/],
      ['hold-out', () => task({ holdOut: 0.2 }), /share held out was null and is now 0\.2/],
      ['tiles', () => task({ tile: 64 }), /tiles was null and is now \{"size":64,"overlap":16\}/],
      ['foreground', () => task({ foreground: 'disc' }), /foreground was "none" and is now "disc"/],
      [
        'select',
        () => task({ select: 'test-oracle' }),
        /choice of the epoch was "last" and is now "test-oracle"/,
      ],
      ['labels', () => task({ labels: 'mask' }), /labels was "folder" and is now "mask"/],
      ['epochs', () => task({ epochs: [1, 3] }), /epochs was \[1,2\] and is now \[1,3\]/],
      ['seed', () => task({}, { seed: 1 }), /seed was 0 and is now 1/],
      [
        'limit',
        () => task({ limit: 3 }),
        /limit was null and is now 3; the photographs .*: there were 6, now there are 3/,
      ],
      [
        'textures',
        () => task({ textures: join(folder, 'few-textures') }),
        /the textures are not those of the finished run/,
      ],
      [
        'category',
        () => task({}, { category: 'fabric' }),
        /the photographs are not those of the finished run: 6 of 6 changed/,
      ],
    ])('another %s is refused', async (_, make, message) => {
      const checked = finishedReport(make());
      await expect(checked).rejects.toThrow(/metrics\.json is of a run with other settings or inputs: /);
      await expect(checked).rejects.toThrow(message);
    });

    test('another photograph, test image, mask or teacher is refused by name', async () => {
      const change = async (path: string, message: RegExp) => {
        const before = readFileSync(path);
        writeFileSync(path, Buffer.concat([before, Buffer.of(0)]));
        await expect(
          finishedReport(task({ weights: join(folder, 'teacher.safetensors') })),
          path,
        ).rejects.toThrow(message);
        writeFileSync(path, before);
      };
      const first = (part: string) =>
        join(copy, 'washer', part, readdirSync(join(copy, 'washer', part)).sort()[0] as string);
      await change(
        first('train/good'),
        /the photographs are not those of the finished run: 1 of 6 changed, the first is .*train\/good/,
      );
      await change(
        first('test/rust'),
        /the test photographs are .*: 1 of 4 changed, the first is .*test\/rust/,
      );
      await change(
        first('ground_truth/rust'),
        /the masks of the test photographs are .*: 1 of 4 changed, the first is .*ground_truth\/rust/,
      );
      const other = readFileSync(join(folder, 'teacher.safetensors'));
      other[other.length - 1] = (other.at(-1) as number) ^ 1;
      // Without its digests it is another teacher, with them a damaged one.
      for (const key of ['head_sha256', 'data_sha256']) other.write(`no${key.slice(2)}`, other.indexOf(key));
      writeFileSync(join(folder, 'other.safetensors'), other);
      await expect(finishedReport(task({ weights: join(folder, 'other.safetensors') }))).rejects.toThrow(
        /the teacher is not that of the finished run/,
      );
    });

    test('half of one is none; one of an earlier version is refused', async () => {
      const half = join(folder, 'half');
      cpSync(join(alone, 'washer/aand/seed0'), half, { recursive: true });
      const path = join(half, 'metrics.json');
      const { run, ...older } = JSON.parse(readFileSync(path, 'utf8'));
      writeFileSync(path, JSON.stringify(older));
      await expect(finishedReport(task({}, { out: half }))).rejects.toThrow(
        /does not say what its run was made of/,
      );
      expect(run.settings.seed).toBe(0);
      writeFileSync(path, '{"image_AUROC": 1');
      expect(await finishedReport(task({}, { out: half }))).toBeUndefined();
      rmSync(path);
      expect(await finishedReport(task({}, { out: half }))).toBeUndefined();
    });
  });

  test.each<[string, () => string[], RegExp, number]>([
    [
      'a category that is not there',
      () => ['benchmark', join(folder, 'mvtec'), '--out', alone, '--categories', 'bolt'],
      /has no category 'bolt'; there are fabric, washer/,
      2,
    ],
    [
      'a mode that is none',
      () => benchmark(alone, 'x'),
      /option '--modes <list>' argument 'x' is invalid/,
      2,
    ],
    [
      'a queue that is no address',
      () => benchmark(join(folder, 'none'), 'rd', '--queue', 'host'),
      /--queue \(or AAND_QUEUE\) must be an address such as redis:/,
      2,
    ],
    [
      'a queue that does not answer',
      () => benchmark(join(folder, 'none'), 'rd', '--queue', 'redis://127.0.0.1:1'),
      /no Redis answers at redis:\/\/127\.0\.0\.1:1/,
      1,
    ],
  ])('%s is refused', async (_, args, message, code) => {
    const refused = await aand(...args());
    expect(refused.stderr).toMatch(message);
    expect(refused.stderr).not.toMatch(/\n\s+at /);
    expect(refused.code).toBe(code);
  });
});

describe.skipIf(!hasRedis())('through a queue', () => {
  const redis = useRedis();

  test('a worker finds the same numbers as one process', async () => {
    const out = join(folder, 'queued');
    const coordinator = command.start(benchmark(out, 'rd', '--queue', redis.url));
    const worker = command.start(['worker', '--queue', redis.url, '--root', folder, '--name', 'w1']);
    const { code, stderr } = await coordinator.ended;
    expect(code, stderr).toBe(0);
    worker.child.kill('SIGINT');
    const ended = await worker.ended;
    expect(ended.code, ended.stderr).toBe(0);
    expect(ended.stderr).toContain('w1: washer, rd');
    expect(numbers(out)).toEqual({ 'washer/rd/0': numbers(alone)['washer/rd/0'] });
  });
});
