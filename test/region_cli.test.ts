/** `--region` of the commands: preview, train, test, predict and calibrate on a small product. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { decodeImage } from '#platform';
import { regionPixels } from '../src/data/region.ts';
import { parseRegion } from '../src/data/region_json.ts';
import { readDetector } from '../src/detector/file.ts';
import { useCommand, useFolder } from './support/command.ts';
import { writeMvtec } from './support/layouts.ts';

const folder = useFolder();
const command = useCommand();
const path = (name: string) => join(folder, name);
const aand = (...args: readonly string[]) => command.run(args, { cwd: folder });
const quick = ['--image-size', '32', '--batch', '3', '--epochs', '1,1', '--backbone', 'resnet18_half'];
const json = (name: string) => JSON.parse(readFileSync(path(name), 'utf8'));
const settingsOf = async (name: string) => (await readDetector(readFileSync(path(name)), name)).settings;
const upper = '{"inspect": [[[0, 0], [1, 0], [1, 0.5], [0, 0.5]]]}';

beforeAll(async () => {
  await writeMvtec(folder, 'hazelnut');
  writeFileSync(path('upper.json'), upper);
  writeFileSync(path('corner.json'), '{"ignore": [[[0, 0], [0.25, 0], [0.25, 0.25], [0, 0.25]]]}');
  writeFileSync(path('wrong.json'), '{"inspect": [[[0, 0], [40, 0], [40, 40]]]}');
  writeFileSync(path('nothing.json'), '{"ignore": [[[0, 0], [1, 0], [1, 1], [0, 1]]]}');
});

describe('before a training', () => {
  test('preview and data show the region', async () => {
    const { code, stdout, stderr } = await aand(
      ...['preview', 'hazelnut', '--region', 'upper.json', '--foreground', 'none', '--image-size', '32'],
    );
    expect(code, stderr).toBe(0);
    expect(stdout).toContain('foreground by none in the region of interest: 50 % to 50 % of an image');
    const sheet = await aand('data', 'hazelnut', '--region', 'upper.json');
    expect(sheet.stdout).toContain('region of interest: 50.0 % of the image is inspected');
  });

  test.each([
    ['wrong.json', 1, "wrong.json: point 2 of polygon 1 in 'inspect' is [40, 0], outside of the image"],
    ['nothing.json', 2, 'leaves no pixel to inspect at 32 x 32 pixels'],
    ['gone.json', 1, 'gone.json'],
  ])('%s is refused before anything is read or written', async (file, code, message) => {
    const refused = await aand('train', 'hazelnut', '--out', 'refused', ...quick, '--region', file);
    expect([refused.code, refused.stderr]).toEqual([code, expect.stringContaining(message)]);
    expect(readdirSync(folder)).not.toContain('refused');
  });
});

describe('a trained model', () => {
  beforeAll(async () => {
    const { code, stderr, stdout } = await aand(
      ...['train', 'hazelnut', '--out', 'half', ...quick, '--region', 'upper.json'],
    );
    expect(code, stderr).toBe(0);
    expect(stdout).toContain('region of interest: 50.0 % of the image is inspected; the other pixels');
  }, 120_000);

  test('keeps the region; metrics.json names it; another region is another run', async () => {
    expect((await settingsOf('half/model.safetensors')).region).toEqual(parseRegion(upper, 'upper'));
    const { settings, run, defects_outside_region: outside } = json('half/metrics.json');
    expect(settings.region).toBe('50.0 % of the image is inspected');
    expect(Object.keys(run.inputs)).toContain('the region of interest');
    expect(outside).toBeGreaterThanOrEqual(0);
    const resumed = await aand(
      ...['train', 'hazelnut', '--out', 'half', ...quick, '--region', 'corner.json', '--resume'],
    );
    expect(resumed.code).not.toBe(0);
  }, 120_000);

  test('test and predict go by it; pictures are dark outside', async () => {
    const tested = await aand('test', 'half/model.safetensors', 'hazelnut', '--out', 'tested');
    expect(tested.code, tested.stderr).toBe(0);
    expect(tested.stdout).toContain('region of interest: 50.0 % of the image is inspected');
    const { settings, ...report } = json('tested/metrics.json');
    expect(settings.region).toBe('50.0 % of the image is inspected');
    expect(report.defects_outside_region).toBe(json('half/metrics.json').defects_outside_region);
    const [first] = readdirSync(path('hazelnut/test/good'));
    const predicted = await aand(
      ...['predict', 'half/model.safetensors', `hazelnut/test/good/${first}`, '--out', 'shown'],
    );
    expect(predicted.code, predicted.stderr).toBe(0);
    const [name] = readdirSync(path('shown')).filter((file) => file.endsWith('.png'));
    const picture = await decodeImage(readFileSync(path(`shown/${name}`)), 'shown');
    // The second panel is the heat map: below its middle it is darker than half of the photograph.
    const at = (x: number, y: number) => (picture.data[3 * (y * picture.width + x)] as number) ?? 0;
    for (const x of [40, 128, 200]) expect(at(268 + x, 18 + 200)).toBe((at(6 + x, 18 + 200) + 64) >> 2);
  }, 120_000);

  test('calibrate gives it another region by good images alone, and keeps the old model', async () => {
    const model = 'half/model.safetensors';
    const before = await settingsOf(model);
    const without = await aand('calibrate', model, '--region', 'corner.json');
    expect([without.code, without.stderr]).toEqual([2, expect.stringContaining('give good images')]);
    const { code, stdout, stderr } = await aand(
      ...['calibrate', model, 'hazelnut/test/good', '--region', 'corner.json'],
    );
    expect(code, stderr).toBe(0);
    expect(stdout).toContain('region of interest: 93.8 % of the image is inspected');
    const after = await settingsOf(model);
    expect(after.region?.ignore).toHaveLength(1);
    expect(regionPixels(after.region as never, 32, 32)[0]).toBe(0);
    expect(new Set(after.calibrationScores.map(({ source }) => source))).toEqual(new Set(['calibrate']));
    expect(after.image?.threshold).not.toBe(before.image?.threshold);
    expect(readdirSync(path('half')).filter((file) => /^model.*(backup|bak)/.test(file))).toHaveLength(1);
    const back = await aand('calibrate', model, 'hazelnut/test/good', '--region', 'none');
    expect(back.stdout).toContain('region of interest: all of the image');
    expect((await settingsOf(model)).region).toBeUndefined();
  }, 120_000);
});
