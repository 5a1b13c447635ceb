// The demo model of the page, where it was trained (scripts/app.mjs --demo), and a file that tells the page
// whether it is there.
import { cpSync, existsSync, writeFileSync } from 'node:fs';

const files = ['demo.safetensors', 'demo.png'];

export function copyDemo() {
  const demo = files.every((file) => existsSync(`.demo/${file}`));
  if (demo) for (const file of files) cpSync(`.demo/${file}`, `dist/app/${file}`);
  writeFileSync('dist/app/contents.json', `${JSON.stringify({ demo })}\n`);
}
