/** The compiler's check that every platform gives what {@link Platform} asks, and nothing else. */
import type * as browser from './browser.ts';
import type * as node from './node.ts';
import type { Platform } from './platform.ts';

type Satisfies<P extends Platform & Record<Exclude<keyof P, keyof Platform>, never>> = P;

export type Platforms = [Satisfies<typeof node>, Satisfies<typeof browser>];
