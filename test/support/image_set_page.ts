/** Entry of the image set's browser test: decodes files of its own server and returns what came out, as JSON. */
import { decodeImage, inspectImage } from '../../src/platform/browser.ts';

function base64(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

async function decodeFiles(names: readonly string[]): Promise<string> {
  const results = [];
  for (const name of names) {
    const bytes = new Uint8Array(await (await fetch(`/images/${name}`)).arrayBuffer());
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
