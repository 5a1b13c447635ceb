/**
 * Teachers' weights in the worker: the page's own, and files that were loaded once and stay on this device.
 */
import { backbones } from '../src/model/backbones.ts';
import { verifyDigest, writeWithDigest } from '../src/weights/digest.ts';
import { importStateDicts } from '../src/weights/import.ts';
import { packagedTeacherFile } from '../src/weights/packaged.ts';
import { readSafetensors, type SafetensorsFile, storable } from '../src/weights/safetensors.ts';
import { isTorchFile, readTorchFile } from '../src/weights/torch_file.ts';
import { readFile, writeFile } from './storage.ts';
import { packagedSource, packagedTeachers, type TeacherFacts } from './types.ts';

const pathOf = (backbone: string) => `teachers/${backbone}.safetensors`;

/** The file that a backbone's teacher was loaded from. */
async function sourceOf(backbone: string): Promise<string | undefined> {
  const source = await readFile(`${pathOf(backbone)}.name`);
  return source && new TextDecoder().decode(source);
}

/** The page's own teachers, then those that were loaded. */
export async function teachers(): Promise<TeacherFacts[]> {
  const found = [...packagedTeachers];
  for (const backbone of Object.keys(backbones)) {
    const source = await sourceOf(backbone);
    if (source !== undefined) found.push({ backbone, source });
  }
  return found;
}

/**
 * Takes over torchvision's weights (.pth or .safetensors).
 *
 * @param replace whether they may take the place of a teacher of the same backbone that was loaded from
 *   another file
 * @returns the teacher; with `replaces`, nothing was done, for there is another
 * @throws Error where the file is damaged, lacks tensors, or is no teacher
 */
export async function addTeacher(
  name: string,
  bytes: Uint8Array,
  replace: boolean,
): Promise<TeacherFacts & { readonly replaces?: string }> {
  if (!bytes.length) throw new Error(`${name} is empty (0 bytes)`);
  const tensors = isTorchFile(bytes) ? readTorchFile(bytes, name) : readSafetensors(bytes, name).tensors;
  const imported = importStateDicts([{ path: name, tensors }]);
  if (imported.kind !== 'teacher')
    throw new Error(
      `${name} holds a whole detector: open it in the Inspect view. A teacher is one of torchvision's files.`,
    );
  const backbone = imported.backbone.name;
  const known = await sourceOf(backbone);
  if (known !== undefined && known !== name && !replace) return { backbone, source: name, replaces: known };
  const bare = new Map(
    [...storable(imported.tensors)].map(([key, tensor]) => [key.slice('teacher.'.length), tensor]),
  );
  await writeFile(pathOf(backbone), await writeWithDigest(bare, { backbone, source: name }));
  await writeFile(`${pathOf(backbone)}.name`, name);
  return { backbone, source: name };
}

export async function readTeacher({ backbone, source }: TeacherFacts): Promise<SafetensorsFile> {
  if (source !== packagedSource) {
    // Another file of the same backbone is another teacher.
    const bytes = (await sourceOf(backbone)) === source ? await readFile(pathOf(backbone)) : undefined;
    if (!bytes)
      throw new Error(`the teacher '${source}' is not on this device any more: load its file again`);
    const file = readSafetensors(bytes, source);
    await verifyDigest(bytes, file.metadata, source);
    return file;
  }
  const answer = await fetch(packagedTeacherFile(backbone));
  if (!answer.ok) throw new Error(`the teacher's weights could not be loaded (${answer.status})`);
  return readSafetensors(new Uint8Array(await answer.arrayBuffer()), source);
}
