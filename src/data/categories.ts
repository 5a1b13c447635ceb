/** The categories of a data set folder, whatever its layout. */

import { exists, readBytes } from '#platform';
import { InvalidDatasetError } from '../base/errors.ts';
import { append } from '../base/lists.ts';
import { categoriesIn, detectFormat } from './open.ts';

/**
 * @returns names in the order of the data set's own list, else sorted
 * @throws Error where the folder holds none
 */
export async function listCategories(root: string): Promise<string[]> {
  if ((await exists(root)) !== 'folder') throw new InvalidDatasetError(`${root}: no such folder`);
  const found = await categoriesIn(root);
  if (!found.length && (await exists(`${root}/meta.json`)) === 'file') {
    const meta = JSON.parse(new TextDecoder().decode(await readBytes(`${root}/meta.json`))) as {
      train?: object;
    };
    append(found, Object.keys(meta.train ?? {}));
  }
  if (!found.length) {
    const single = (await detectFormat({ root: `${root}/..`, category: '', folder: root })) !== 'folder';
    throw new InvalidDatasetError(
      single
        ? `${root} is a category itself: give the folder that holds the categories`
        : `${root} holds no category in a known layout, such as that of MVTec AD or VisA`,
    );
  }
  return found;
}
