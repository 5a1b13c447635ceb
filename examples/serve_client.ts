/**
 * Sends photographs to `aand serve` and prints its answers; it needs no GPU and nothing but Node.
 * npx tsx examples/serve_client.ts http://127.0.0.1:8080 washer photo.png ...
 */
import { openAsBlob } from 'node:fs';
import { basename } from 'node:path';

const [server, model, ...photographs] = process.argv.slice(2);
if (!server || !model || !photographs.length) throw new Error('usage: serve_client URL MODEL PHOTO...');
const token = process.env.AAND_TOKEN;

/** The answer of the server, as far as it is used here; /openapi.json has all of it. */
interface Judgement {
  readonly pred_label: 'good' | 'anomalous' | null;
  readonly pred_score: number | null;
  readonly raw_score: number;
  readonly regions: readonly {
    readonly x: number;
    readonly y: number;
    readonly width: number;
    readonly height: number;
  }[];
}

/** Asks again where the server is busy (429), after as long as it says. */
async function judge(path: string): Promise<Judgement> {
  for (;;) {
    const answer = await fetch(
      `${server}/models/${model}/predict?name=${encodeURIComponent(basename(path))}`,
      {
        method: 'POST',
        body: await openAsBlob(path),
        headers: { ...(token && { authorization: `Bearer ${token}` }) },
      },
    );
    if (answer.ok) return (await answer.json()) as Judgement;
    if (answer.status !== 429) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    const seconds = Number(answer.headers.get('retry-after') ?? 1);
    await new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
  }
}

for (const path of photographs) {
  const { pred_label, pred_score, raw_score, regions } = await judge(path);
  const places = regions.map(({ x, y, width, height }) => `${x},${y} ${width}x${height}`).join('; ');
  console.log(`${pred_label ?? 'no threshold'}\t${(pred_score ?? raw_score).toFixed(3)}\t${path}\t${places}`);
}
