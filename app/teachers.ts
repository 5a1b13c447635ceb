/** Teachers' weights in the worker: the page's own, and files that were loaded once and stay on this device. */
import { type BackboneName, backbones } from '../src/model/backbone.ts';
import { verifyDigest, writeWithDigest } from '../src/weights/digest.ts';
import { importStateDicts } from '../src/weights/import.ts';
import { readSafetensors, type SafetensorsFile, storable } from '../src/weights/safetensors.ts';
import { isTorchFile, readTorchFile } from '../src/weights/torch_file.ts';
import { readFile, writeFile } from './storage.ts';
import { packagedTeacher, type TeacherFacts } from './types.ts';

const pathOf = (backbone: BackboneName) => `teachers/${backbone}.safetensors`;

/** The page's own teacher, then those that were loaded. */
export async function teachers(): Promise<TeacherFacts[]> {
  const found = [packagedTeacher];
  for (const backbone of Object.keys(backbones) as BackboneName[]) {
    const source = await readFile(`${pathOf(backbone)}.name`);
    if (source) found.push({ backbone, source: new TextDecoder().decode(source) });
  }
  return found;
}

/**
 * Takes over torchvision's weights (.pth or .safetensors).
 *
 * @throws Error where the file is damaged, lacks tensors, or is no teacher
 */
export async function addTeacher(name: string, bytes: Uint8Array): Promise<TeacherFacts> {
  const tensors = isTorchFile(bytes) ? readTorchFile(bytes, name) : readSafetensors(bytes, name).tensors;
  const imported = importStateDicts([{ path: name, tensors }]);
  if (imported.kind !== 'teacher')
    throw new Error(
      `${name} holds a whole detector: open it in the Inspect view. A teacher is one of torchvision's files.`,
    );
  const backbone = imported.backbone.name as BackboneName;
  const bare = new Map([...storable(imported.tensors)].map(([key, tensor]) => [key.slice('teacher.'.length), tensor]));
  await writeFile(pathOf(backbone), await writeWithDigest(bare, { backbone, source: name }));
  await writeFile(`${pathOf(backbone)}.name`, name);
  return { backbone, source: name };
}

export async function readTeacher({ backbone, source }: TeacherFacts): Promise<SafetensorsFile> {
  if (source !== packagedTeacher.source) {
    const bytes = await readFile(pathOf(backbone));
    if (!bytes) throw new Error(`the teacher '${source}' is not on this device any more: load its file again`);
    const file = readSafetensors(bytes, source);
    await verifyDigest(bytes, file.metadata, source);
    return file;
  }
  const answer = await fetch('teacher_resnet18.safetensors');
  if (!answer.ok) throw new Error(`the teacher's weights could not be loaded (${answer.status})`);
  return readSafetensors(new Uint8Array(await answer.arrayBuffer()), source);
}
