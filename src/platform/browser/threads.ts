/** Threads in browsers: none of the library's own. A page makes its own workers. */
import type { ThreadPlatform } from '../platform.ts';
import { noFiles } from './files.ts';

export const loadResized: ThreadPlatform['loadResized'] = noFiles;
