/**
 * Scores a folder of photographs without a window: npx tsx examples/batch.ts results/model.safetensors
 * photos/
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Detector, decodeImage, Engine } from 'aand-webgpu';

const [model, folder] = process.argv.slice(2);
if (!model || !folder) throw new Error('usage: batch MODEL FOLDER');

await using engine = await Engine.open();
await using detector = await Detector.open(engine, readFileSync(model), model);
for (const name of readdirSync(folder).filter((name) => /\.(png|jpe?g)$/i.test(name))) {
  const image = await decodeImage(readFileSync(join(folder, name)), name);
  const [prediction] = await detector.predict([image]);
  if (!prediction) continue;
  const { anomalous, normalizedScore, score } = prediction;
  const verdict = anomalous === null ? 'no threshold' : anomalous ? 'ANOMALOUS' : 'good';
  console.log(`${verdict}\t${(normalizedScore ?? score).toFixed(3)}\t${name}`);
}
