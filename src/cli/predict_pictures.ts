/** The pictures that `aand predict --out` writes: their names, and what is on them. */
import { basename, join } from 'node:path';
import { encodePng, overview } from '#platform';
import { reading } from '../data/unreadable.ts';
import type { Prediction } from '../detector/detector.ts';
import type { Scale } from '../eval/marks.ts';
import { drawPanels, panelSide } from '../eval/panels.ts';
import { OutputFolder } from '../output/folder.ts';
import { type NamedImage, resultNames } from '../output/names.ts';
import { note } from './style.ts';

export interface Photograph extends NamedImage {
  /** As the user spells it. */
  readonly path: string;
}

/** The folder of the pictures of one model. */
export class PredictionPictures implements AsyncDisposable {
  readonly #output: OutputFolder;
  /** Path of the model that makes them, without links. */
  readonly #model: string;
  /** Names by photograph. */
  readonly #names = new Map<Photograph, string>();
  /** Photographs, by the names of their pictures in lower case. */
  readonly #named = new Map<string, string>();

  private constructor(output: OutputFolder, model: string) {
    this.#output = output;
    this.#model = model;
  }

  /**
   * Locks the folder and names the pictures: new names, or those of the same photographs in an earlier run.
   *
   * @throws Error where a file of others stands in the way
   */
  static async open(
    out: string,
    { model, force, images }: { model: string; force: boolean; images: readonly Photograph[] },
  ): Promise<PredictionPictures> {
    const output = await OutputFolder.open(out, { command: 'aand predict', force });
    try {
      const pictures = new PredictionPictures(output, model);
      await pictures.#name(images);
      return pictures;
    } catch (error) {
      await output.close();
      throw error;
    }
  }

  async #name(images: readonly Photograph[]): Promise<void> {
    const names = resultNames(images, '.png', (name, { identity }) => {
      const now = this.#named.get(`${name}.png`.toLowerCase());
      const before = this.#output.entry(`${name}.png`)?.from;
      return (now ?? before ?? identity) !== identity;
    }).map((name) => `${name}.png`);
    await this.#output.check(
      names,
      images.map(({ path }) => path),
    );
    const others = names
      .map((name) => this.#output.entry(name)?.model)
      .filter((other) => other && other !== this.#model);
    if (others.length)
      note(
        `${others.length} pictures in ${this.#output.path} are of another model ` +
          `(${[...new Set(others)].join(', ')}); they are replaced`,
      );
    for (const [i, image] of images.entries()) {
      const name = names[i] as string;
      this.#names.set(image, name);
      this.#named.set(name.toLowerCase(), image.identity);
    }
  }

  /**
   * Draws and writes a picture; a photograph that came later is named now.
   *
   * @returns its path
   * @throws UnreadableError where the photograph cannot be read any more
   */
  async write(photograph: Photograph, prediction: Prediction, scale: Scale | null): Promise<string> {
    if (!this.#names.has(photograph)) await this.#name([photograph]);
    const name = this.#names.get(photograph) as string;
    this.#names.delete(photograph);
    const { path, identity } = photograph;
    const image = await reading(path, () => overview(path, panelSide));
    const png = await encodePng(
      drawPanels({ ...prediction, image, scale: scale?.map ?? null, label: basename(path) }),
    );
    await this.#output.write(name, png, { from: identity, model: this.#model });
    return join(this.#output.path, name);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#output.close();
  }
}
