/** The bound of memory that all decoding of images in this process shares. */
import { ByteBudget } from '../base/concurrently.ts';

/** What images that are being decoded or cut up take in memory, in this process. */
export const decodingBudget = new ByteBudget(512 * 2 ** 20);
