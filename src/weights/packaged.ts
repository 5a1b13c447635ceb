/**
 * The teachers that come with this package: which backbones have one, and the name of its file in weights/
 * and beside the page. Everything that offers, copies or names them takes them from here.
 */

const files: Readonly<Record<string, string>> = {
  resnet18: 'teacher_resnet18.safetensors',
  resnet18_half: 'teacher_resnet18_half.safetensors',
};

/** Backbones whose teacher comes with this package. */
export const packagedBackbones: readonly string[] = Object.keys(files);

/**
 * The file of a backbone's packaged teacher, without its folder.
 *
 * @throws Error that lists the backbones which have one
 */
export function packagedTeacherFile(backbone: string): string {
  const file = Object.hasOwn(files, backbone) ? files[backbone] : undefined;
  if (file === undefined)
    throw new Error(
      `no teacher for ${backbone} comes with this package; those that do are for ` +
        packagedBackbones.join(' and '),
    );
  return file;
}
