// The demo of the page: a small model, and photographs of drawn washers (scripts/demo_model.mjs makes them).
// A copy of the page without this folder has no demo, and says so.
import { cpSync, existsSync, readdirSync, statSync, writeFileSync } from 'node:fs';

const source = 'app/demo';
const model = 'washer.safetensors';

export function copyDemo() {
  if (!existsSync(`${source}/${model}`)) return;
  cpSync(source, 'dist/app/demo', { recursive: true });
  const pictures = readdirSync(source)
    .filter((name) => name.endsWith('.png'))
    .sort();
  const { size: bytes } = statSync(`${source}/${model}`);
  writeFileSync('dist/app/demo/demo.json', `${JSON.stringify({ model, bytes, pictures })}\n`);
}
