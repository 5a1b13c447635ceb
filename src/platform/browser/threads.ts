/** Threads in browsers: whoever needs one makes a worker of the page's own. */
import type { ThreadPlatform } from '../platform.ts';
import { noFiles } from './files.ts';

export const loadResized: ThreadPlatform['loadResized'] = noFiles;
