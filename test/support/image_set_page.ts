/**
 * Entry of the image set's browser test: decodes files of its own server and returns what came out, as JSON.
 */
import { decodeImage, inspectImage } from '../../src/platform/browser.ts';

function base64(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

/** @param given files that the server does not have, in base64 */
async function decodeFiles(
  names: readonly string[],
  given: Readonly<Record<string, string>> = {},
): Promise<string> {
  const results = [];
  for (const name of names) {
    const text = given[name];
    const bytes =
      text === undefined
        ? new Uint8Array(await (await fetch(`/images/${name}`)).arrayBuffer())
        : Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    try {
      const [rgb, grey] = [await decodeImage(bytes, name), await decodeImage(bytes, name, 1)];
      const facts = await inspectImage(bytes, name);
      results.push({
        ...{ width: rgb.width, height: rgb.height, facts },
        rgb: base64(rgb.data),
        grey: base64(grey.data),
      });
    } catch (error) {
      results.push({ error: (error as Error).message });
    }
  }
  return JSON.stringify(results);
}

Object.assign(globalThis, { decodeFiles });
