// Type declarations of the library: dist/types. The platform is named by the package's own imports inside;
// outside it is a path.
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { generateKernels } from './kernels.mjs';

await generateKernels();
execFileSync('npx', ['tsc', '-p', 'tsconfig.types.json'], { stdio: 'inherit' });
const root = 'dist/types';
for (const name of readdirSync(root, { recursive: true })) {
  if (!name.endsWith('.d.ts')) continue;
  const path = join(root, name);
  const platform = relative(dirname(path), join(root, 'src/platform/node.ts'));
  const text = readFileSync(path, 'utf8').replaceAll(
    "'#platform'",
    `'${platform.startsWith('.') ? platform : `./${platform}`}'`,
  );
  writeFileSync(path, text.replaceAll('"#platform"', `"${platform}"`));
}
