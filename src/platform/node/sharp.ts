/** sharp through `require`: its ES module is written with import attributes, which Node 20.9 cannot read. */
import { createRequire } from 'node:module';

export const sharp = createRequire(import.meta.url)('sharp') as typeof import('sharp').default;
