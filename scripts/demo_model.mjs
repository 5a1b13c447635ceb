// Makes the demo of the page again (app/demo): draws washers, learns them with the small teacher, stores the
// model with 16-bit weights, and draws photographs that neither training nor test has seen. Its limit comes
// from good parts alone. Minutes without a GPU. The model's bits depend on the device, what it finds does
// not.
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { build } from 'esbuild';
import sharp from 'sharp';

const work = '.demo';
const target = 'app/demo';
const seed = 0;
const counts = { train: 80, testGood: 24, testOfDefect: 8 };
const shape = ['--backbone', 'resnet18_half', '--image-size', '128', '--batch', '8', '--epochs', '12,24'];
const limit = ['--hold-out', '0.25', '--threshold', 'max'];

// The products of `aand demo`, as a module of their own.
const { outputFiles } = await build({
  entryPoints: ['src/synthetic/demo_products.ts'],
  bundle: true,
  platform: 'neutral',
  format: 'esm',
  write: false,
});
const source = Buffer.from(outputFiles[0].contents).toString('base64');
const { demoProducts, drawPart } = await import(`data:text/javascript;base64,${source}`);
const washer = demoProducts.find(({ name }) => name === 'washer');
const defects = Object.keys(washer.defects);

async function save(path, { width, height, channels, data }) {
  mkdirSync(dirname(path), { recursive: true });
  await sharp(data, { raw: { width, height, channels } }).png().toFile(path);
}
async function draw(path, defect, index, mask) {
  const part = drawPart(washer, defect, seed, index);
  await save(path, part.image);
  if (mask && part.mask) await save(mask, part.mask);
}

rmSync(work, { recursive: true, force: true });
const data = `${work}/washer`;
const name = (i) => `${String(i).padStart(3, '0')}`;
for (let i = 0; i < counts.train; i++) await draw(`${data}/train/good/${name(i)}.png`, undefined, i);
for (let i = 0; i < counts.testGood; i++)
  await draw(`${data}/test/good/${name(i)}.png`, undefined, counts.train + i);
for (const defect of defects)
  for (let i = 0; i < counts.testOfDefect; i++) {
    const mask = `${data}/ground_truth/${defect}/${name(i)}_mask.png`;
    await draw(`${data}/test/${defect}/${name(i)}.png`, defect, i, mask);
  }

const aand = (...args) => execFileSync('node', ['dist/cli.js', ...args], { stdio: 'inherit' });
aand('train', data, '--out', `${work}/run`, ...shape, ...limit);
rmSync(target, { recursive: true, force: true });
mkdirSync(target, { recursive: true });
const model = `${target}/washer.safetensors`;
aand('export', `${work}/run/model.safetensors`, '--to', 'safetensors-f16', '--out', model);
const unseen = 1000;
for (let i = 0; i < 2; i++) await draw(`${target}/good-${i + 1}.png`, undefined, unseen + i);
for (const defect of defects) await draw(`${target}/${defect}.png`, defect, unseen);
console.log(`${target}: a model of ${(statSync(model).size / 1e6).toFixed(1)} MB, and its photographs`);
