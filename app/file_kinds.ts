/** What dropped files are: a model, images, or nothing that this page opens. */
import { isImageFile } from './dom.ts';

const isModelFile = ({ name }: File) => /\.(safetensors|pth|pt|ckpt|onnx)$/i.test(name);

export interface SortedFiles {
  readonly model: File | undefined;
  readonly images: readonly File[];
}

/** @throws Error with a sentence for the user where there is nothing to open, or more than one model */
export function sortFiles(files: readonly File[]): SortedFiles {
  const models = files.filter(isModelFile);
  const images = files.filter(isImageFile);
  if (models.length > 1) throw new Error(`These are ${models.length} models: open one at a time.`);
  if (!models.length && !images.length)
    throw new Error(
      files.length === 1
        ? `"${files[0]?.name}" is neither an image (png, jpg, bmp, webp) nor a model (.safetensors).`
        : 'None of these files is an image (png, jpg, bmp, webp) or a model (.safetensors).',
    );
  return { model: models[0], images };
}
