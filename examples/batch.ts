/** Scores a folder of photographs without a window: npx tsx examples/batch.ts washer.safetensors photos/ */
import { readdirSync } from 'node:fs';
import { Detector, Engine } from 'aand-webgpu';

const [model, folder] = process.argv.slice(2);
if (!model || !folder) throw new Error('usage: batch MODEL FOLDER');

await using engine = await Engine.open();
await using detector = await Detector.open(engine, model);
for (const name of readdirSync(folder).filter((name) => /\.(png|jpe?g)$/i.test(name))) {
  const { anomalous, normalizedScore, score } = await detector.predict(`${folder}/${name}`);
  const verdict = anomalous === null ? 'no threshold' : anomalous ? 'ANOMALOUS' : 'good';
  console.log(`${verdict}\t${(normalizedScore ?? score).toFixed(3)}\t${name}`);
}
