/** Learns a product from a folder of good photographs: npx tsx examples/train.ts good/ washer.safetensors */
import { readdirSync, writeFileSync } from 'node:fs';
import { Detector } from 'aand-webgpu';

const [folder, out, epochs = ''] = process.argv.slice(2);
if (!folder || !out) throw new Error('usage: train FOLDER MODEL [EPOCHS]');

const stop = new AbortController();
process.once('SIGINT', () => stop.abort());
const { bytes, detector, settings, warnings } = await Detector.train({
  good: readdirSync(folder).map((name) => `${folder}/${name}`),
  epochs: epochs ? [Number(epochs), Number(epochs)] : undefined, // by the number of photographs
  signal: stop.signal,
  onProgress: ({ stage, fraction }) => process.stderr.write(`\r${stage} ${(100 * fraction).toFixed(0)} %  `),
});
writeFileSync(out, bytes);
for (const warning of warnings) console.warn(warning);
console.log(`limit ${settings.image?.threshold.toFixed(4)}: ${settings.image?.rule}`);
await detector.close();
