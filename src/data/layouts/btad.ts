/**
 * BTAD (beanTech): the products 01, 02 and 03, each with train/ok, test/{ok,ko} and ground_truth/ko/STEM.png
 * or STEM.bmp.
 */

import type { CategoryLocation, Dataset } from '../dataset.ts';
import { folderNamed } from '../files.ts';
import { type FolderNames, openFolders } from './mvtec.ts';

const names: FolderNames = {
  format: 'btad',
  title: 'BTAD',
  good: 'ok',
  test: 'test',
  truth: 'ground_truth',
  maskName: '.png',
};

export async function isBtad({ folder }: CategoryLocation): Promise<boolean> {
  const [train, test] = [await folderNamed(folder, 'train'), await folderNamed(folder, 'test')];
  if (train === undefined || test === undefined) return false;
  return (
    (await folderNamed(`${folder}/${train}`, 'ok')) !== undefined &&
    (await folderNamed(`${folder}/${test}`, 'ko')) !== undefined
  );
}

/** @throws Error where train/ok holds no images */
export function openBtad(location: CategoryLocation): Promise<Dataset> {
  return openFolders(location, names);
}
