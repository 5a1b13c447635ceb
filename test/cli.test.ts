/**
 * The built command as a user runs it: results, exit codes, bad input, and that the process ends by itself.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { readDetector, rewriteDetector } from '../src/detector/file.ts';
import type { Image } from '../src/image/image.ts';
import { bundle } from './support/bundle.ts';
import { type StartOptions, useCommand, useFolder } from './support/command.ts';
import { part, writeImage } from './support/layouts.ts';

const folder = useFolder();
const command = useCommand();
const aand = (args: readonly string[], options?: StartOptions) => command.run(args, options);

const washer = join(folder, 'washer');
const teacher = resolve('weights/teacher_resnet18.safetensors');
const model = join(folder, 'out/model.safetensors');
const quick = ['--image-size', '32', '--batch', '3', '--epochs', '1,2'];

/** Lines of a run's scores.csv without the last column, the time. */
function scores(run: string): string[] {
  const lines = readFileSync(join(folder, run, 'scores.csv'), 'utf8')
    .trim()
    .split('\n');
  return lines.map((line) => line.replace(/,[^,]*$/, ''));
}

beforeAll(async () => {
  for (let i = 0; i < 8; i++)
    await writeImage(`${washer}/${i < 6 ? 'train' : 'test'}/good/${i}.png`, part(0, i).image);
  for (const defect of ['rust', 'chip']) {
    const { image, mask } = part(0, 0, defect);
    await writeImage(`${washer}/test/${defect}/0.png`, image);
    await writeImage(`${washer}/ground_truth/${defect}/0_mask.png`, mask as Image);
  }
});

describe('train, test, predict', () => {
  test('train leaves a model, metrics, scores and pictures; the process ends by itself', async () => {
    const { code, stdout, stderr } = await aand([
      'train',
      washer,
      '--out',
      join(folder, 'out'),
      '--limit',
      '4',
      ...quick,
    ]);
    expect(stderr).toContain('stage I 1/1');
    expect(stdout).toContain('image_AUROC');
    expect(code).toBe(0);
    const metrics = JSON.parse(readFileSync(join(folder, 'out/metrics.json'), 'utf8'));
    for (const key of ['image_AUROC', 'pixel_AUROC', 'AUPRO', 'image_AP', 'image_F1Max', 'pixel_F1Max'])
      expect(metrics[key], key).toBeTypeOf('number');
    expect(metrics.counts).toEqual({ train_good: 4, test_good: 2, test_anomalous: 2, test_without_mask: 0 });
    expect(metrics).toMatchObject({ seed: 0, settings: { mode: 'aand', image_size: 32, epochs: [1, 2] } });
    expect(metrics.adapter.length).toBeGreaterThan(0);
    expect(metrics.seconds.total).toBeGreaterThan(0);
    const csv = readFileSync(join(folder, 'out/scores.csv'), 'utf8').trim().split('\n');
    expect(csv[0]).toBe(
      'path,split,label,defect,raw_score,pred_score,pred_label,marked_area,largest_blob_x_y_w_h,picture,milliseconds',
    );
    expect(csv).toHaveLength(5);
    expect(readdirSync(join(folder, 'out/images')).sort()).toEqual(['chip', 'good', 'rust']);
    expect(existsSync(join(folder, 'out/images/rust/0.png'))).toBe(true);
  });

  test('test gives the same scores as training did, bit for bit', async () => {
    const { code } = await aand(['test', model, washer, '--out', join(folder, 'tested')]);
    expect(code).toBe(0);
    expect(scores('tested')).toEqual(scores('out'));
  });

  test('predict --json prints the fields, and nothing else on stdout', async () => {
    const { code, stdout } = await aand([
      'predict',
      model,
      `${washer}/test/rust`,
      `${washer}/test/good/6.png`,
      '--out',
      join(folder, 'p'),
      '--json',
    ]);
    expect(code).toBe(0);
    const rows = JSON.parse(stdout);
    expect(rows).toHaveLength(2);
    for (const row of rows) {
      expect(Object.keys(row)).toEqual([
        ...['path', 'raw_score', 'pred_score', 'pred_label', 'width', 'height', 'marked_area', 'regions'],
        ...['picture', 'drift'],
      ]);
      expect(['good', 'anomalous']).toContain(row.pred_label);
      expect(row.pred_label).toBe(row.pred_score >= 0.5 ? 'anomalous' : 'good');
    }
    const table = readFileSync(join(folder, 'out/scores.csv'), 'utf8');
    expect(table).toContain(`,${rows[0].raw_score},`);
    expect(
      readdirSync(join(folder, 'p'))
        .filter((name) => !name.startsWith('.'))
        .sort(),
    ).toEqual(['0.png', '6.png']);
  });

  test('predict says that the scores have left those of the calibration, and since when', async () => {
    const file = await readDetector(readFileSync(model), model);
    const scores = (first: number) =>
      Array.from({ length: 10 }, (_, i) => ({ score: first + i, anomalous: false, source: 'calibrate' }));
    const photographs = join(folder, 'stream');
    mkdirSync(photographs);
    for (let i = 0; i < 18; i++)
      copyFileSync(`${washer}/test/good/6.png`, join(photographs, `${100 + i}.png`));
    for (const [name, first, direction] of [
      ['above', -100, 'higher'],
      ['below', 100, 'lower'],
      ['usual', -4, null],
    ] as const) {
      const path = join(folder, `${name}.safetensors`);
      const settings = { ...file.settings, calibrationScores: scores(first) };
      writeFileSync(path, await rewriteDetector(file, settings));
      const out = join(folder, `stream-${name}`);
      const { code, stdout, stderr } = await aand(['predict', path, photographs, '--out', out, '--json']);
      expect(code).toBe(0);
      const drifts = (JSON.parse(stdout) as { drift: string | null }[]).map(({ drift }) => drift);
      expect(drifts.slice(0, 15)).toEqual(Array(15).fill(null));
      expect(drifts.slice(15)).toEqual(Array(3).fill(direction));
      if (direction)
        expect(stderr).toMatch(
          new RegExp(`warning: after 16 photographs the scores lie ${name} those of the good images`),
        );
      else expect(stderr).not.toContain('scores lie');
    }
  });

  test('predict takes --subgroup-matrices, and says where the device has none', async () => {
    const list = ['predict', model, `${washer}/test/good`, '--out', join(folder, 'p-units'), '--json'];
    const [plain, units] = [await aand(list), await aand([...list, '--subgroup-matrices'])];
    expect([plain.code, units.code]).toEqual([0, 0]);
    const scores = ({ stdout }: { stdout: string }) =>
      (JSON.parse(stdout) as { raw_score: number }[]).map(({ raw_score }) => raw_score);
    scores(units).forEach((score, i) => {
      expect(score).toBeCloseTo(scores(plain)[i] as number, 3);
    });
    expect(scores(units)).toHaveLength(scores(plain).length);
    if (/software driver/.test(units.stderr)) expect(units.stderr).toContain('offers no subgroup matrices');
  });

  test('a model file of half the size, and 16-bit floats on the device, give nearly the same scores', async () => {
    const small = join(folder, 'small.safetensors');
    expect((await aand(['export', model, '--to', 'safetensors-f16', '--out', small])).code).toBe(0);
    expect(statSync(small).size).toBeLessThan(0.52 * statSync(model).size);
    const scores = async (file: string, dtype: string) => {
      const out = join(folder, `p-${dtype}`);
      const result = await aand([
        'predict',
        file,
        `${washer}/test`,
        '--out',
        out,
        '--json',
        '--dtype',
        dtype,
      ]);
      if (result.code !== 0) throw new Error(result.stderr);
      return (JSON.parse(result.stdout) as { raw_score: number }[]).map(({ raw_score }) => raw_score);
    };
    const expected = await scores(model, 'f32');
    const close = (given: readonly number[]) => {
      const differences = given.map((score, i) => Math.abs(score - (expected[i] as number)));
      expect(given).toHaveLength(expected.length);
      expect(Math.max(...differences)).toBeGreaterThan(0);
      expect(Math.max(...differences)).toBeLessThan(3e-3);
    };
    close(await scores(small, 'f32'));
    try {
      close(await scores(small, 'f16'));
    } catch (error) {
      // An adapter without 16-bit floats says so.
      expect((error as Error).message).toMatch(/no 16-bit floats \(shader-f16\)/);
    }
  });

  test('good images only: a threshold, no metrics', async () => {
    const only = join(folder, 'only');
    for (let i = 0; i < 3; i++) await writeImage(`${only}/train/good/${i}.png`, part(0, i).image);
    const { code, stdout } = await aand([
      'train',
      only,
      '--out',
      join(folder, 'only-out'),
      '--mode',
      'rd',
      ...quick,
    ]);
    expect(code).toBe(0);
    expect(stdout).toContain('no metrics');
    const metrics = JSON.parse(readFileSync(join(folder, 'only-out/metrics.json'), 'utf8'));
    expect(metrics.image_AUROC).toBeNull();
    expect(metrics.AUPRO).toBeNull();
    expect(metrics.image_threshold.rule).toBe('largest score of 3 good images that were left out in turn');
    expect(existsSync(join(folder, 'only-out/model.safetensors'))).toBe(true);
  });

  test('Ctrl-C leaves a checkpoint; --resume continues to the same model', async () => {
    const out = join(folder, 'interrupted');
    const args = ['train', washer, '--out', out, '--limit', '4', ...quick];
    let killed = false;
    const stopped = await aand(args, {
      onError(text, child) {
        if (killed || !text.includes('stage II 1/2')) return;
        killed = true;
        child.kill('SIGINT');
      },
    });
    expect(stopped.code).toBe(130);
    expect(stopped.stderr).toContain('interrupted');
    expect(existsSync(join(out, 'stage1.checkpoint'))).toBe(true);
    expect(existsSync(join(out, 'model.safetensors'))).toBe(false);
    expect((await aand([...args, '--resume'])).code).toBe(0);
    expect(scores('interrupted')).toEqual(scores('out'));
  });
});

describe('bad input gets a clear error and the right exit code', () => {
  const cases: Record<string, { args: () => string[]; code: number; message: RegExp }> = {
    'no command': { args: () => ['nonsense'], code: 2, message: /unknown command 'nonsense'/ },
    'a missing option': { args: () => ['train', washer], code: 2, message: /--out/ },
    'an unknown backbone': {
      args: () => ['train', washer, '--out', folder, '--backbone', 'vgg'],
      code: 2,
      message: /unknown backbone 'vgg'; known are resnet18, resnet34/,
    },
    'an image size that is no multiple of 32': {
      args: () => ['train', washer, '--out', folder, '--image-size', '100'],
      code: 2,
      message: /image size 100 is not a multiple of 32/,
    },
    'epochs that are no pair': {
      args: () => ['train', washer, '--out', folder, '--epochs', '5'],
      code: 2,
      message: /option '--epochs <stage1,stage2>' argument '[^']*' is invalid\. It must be two whole numbers/,
    },
    'an unknown mode': {
      args: () => ['train', washer, '--out', folder, '--mode', 'x'],
      code: 2,
      message: /option '--mode <mode>' argument 'x' is invalid. It is one of rd, raa/,
    },
    'a folder that is not there': {
      args: () => ['train', join(folder, 'none'), '--out', folder],
      code: 1,
      message: /none: no such folder/,
    },
    'an empty folder': {
      args: () => {
        mkdirSync(join(folder, 'empty/train/good'), { recursive: true });
        return ['train', join(folder, 'empty'), '--out', folder];
      },
      code: 1,
      message: /empty\/train\/good holds no images/,
    },
    'a corrupt PNG': {
      args: () => {
        mkdirSync(join(folder, 'corrupt/train/good'), { recursive: true });
        writeFileSync(
          join(folder, 'corrupt/train/good/bad.png'),
          readFileSync(`${washer}/train/good/0.png`).subarray(0, 3000),
        );
        return ['train', join(folder, 'corrupt'), '--out', join(folder, 'x'), ...quick];
      },
      code: 1,
      message: /bad\.png: cannot be read as an image/,
    },
    'truncated weights': {
      args: () => {
        writeFileSync(join(folder, 'cut.safetensors'), readFileSync(teacher).subarray(0, 100_000));
        return ['train', washer, '--out', folder, '--weights', join(folder, 'cut.safetensors'), ...quick];
      },
      code: 1,
      message: /cut\.safetensors: tensor '.*' ends at byte .* the file is truncated/,
    },
    'weights of another backbone': {
      args: () => [
        'train',
        washer,
        '--out',
        join(folder, 'x'),
        '--weights',
        teacher,
        '--backbone',
        'resnet50',
        ...quick,
      ],
      code: 1,
      message: /tensor .* the model needs .* is it the right backbone/,
    },
    'a model that is none': {
      args: () => ['predict', teacher, `${washer}/test/rust`, '--out', folder],
      code: 1,
      message: /not a detector of this program/,
    },
    'a folder without images to predict': {
      args: () => ['predict', model, join(folder, 'empty'), '--out', folder],
      code: 1,
      message: /empty holds no images/,
    },
  };
  test.each(Object.entries(cases))('%s', async (_, { args, code, message }) => {
    const result = await aand(args());
    expect(result.stderr).toMatch(message);
    expect(result.stderr).not.toMatch(/\n\s+at /);
    expect(result.code).toBe(code);
  });
});

describe('the process', () => {
  /** Milliseconds from the last line of a process to its end. */
  async function lingering(child: ChildProcess): Promise<number> {
    let last = Number.NaN;
    child.stdout?.on('data', () => {
      last = performance.now();
    });
    await once(child, 'close');
    return performance.now() - last;
  }

  test('doctor prints adapter, limits and measured peaks, and ends within 2 s of its last line', async () => {
    const { child, ended } = command.start(['doctor']);
    expect(await lingering(child)).toBeLessThan(2000);
    const { code, stdout } = await ended;
    expect(code).toBe(0);
    expect(stdout).toMatch(/adapter {6}\S/);
    expect(stdout).toMatch(/subgroups {4}\d+ lanes, the only number that the adapter reports\n/);
    expect(stdout).toMatch(/matrix units not used: the adapter offers no subgroup matrices\n/);
    expect(stdout).toMatch(/toggles {6}disable_robustness on, .*lazy_clear_resource_on_first_use off\n/);
    expect(stdout).toMatch(/FMA peak {5}\d+ GFLOP\/s/);
    expect(stdout).toMatch(/copy peak {4}[\d.]+ GB\/s/);
  });

  test('closing the engine lets the process exit within 2 s', async () => {
    const built = join(dirname(command.path), 'close.mjs');
    await bundle('test/support/close_engine.ts', built, 'node');
    const child = spawn('node', [built], { stdio: ['ignore', 'pipe', 'inherit'] });
    expect(await lingering(child)).toBeLessThan(2000);
    expect(child.exitCode).toBe(0);
  });

  test('no driver: the message says what to install', async () => {
    const none = '/nonexistent.json';
    const { code, stderr } = await aand(['doctor'], {
      env: { VK_DRIVER_FILES: none, VK_ICD_FILENAMES: none },
    });
    expect(stderr).toMatch(/No WebGPU adapter was found[\s\S]*setup-system\.sh/);
    expect(code).toBe(1);
  });
});
