/** The examples of Node run, each by its command; those of pages and the training: test/full/examples.test.ts. */
import { readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { useCommand, useProjectFolder } from './support/command.ts';
import { bundleForNode, run } from './support/examples.ts';

const folder = useProjectFolder();
const command = useCommand();
const model = 'app/demo/washer.safetensors';
const bad = ['chip', 'dent', 'rust', 'scratch'];

test('batch: a folder of photographs, one line each', async () => {
  const lines = (await run(await bundleForNode('examples/batch.ts', folder), [model, 'app/demo']))
    .trim()
    .split('\n');
  const verdicts = Object.fromEntries(
    lines
      .map((line) => line.split('\t'))
      .map(([verdict, score, name]) => [name, `${verdict} ${Number(score) >= 0.5}`]),
  );
  expect(verdicts).toEqual({
    ...Object.fromEntries(bad.map((name) => [`${name}.png`, 'ANOMALOUS true'])),
    'good-1.png': 'good false',
    'good-2.png': 'good false',
  });
});

describe('serve_client', () => {
  test('prints the answers of `aand serve`', async () => {
    const port = await freePort();
    const server = command.start(['serve', `washer=${model}`, '--port', String(port)], {
      env: { AAND_TOKEN: 'a-long-token' },
    });
    await server.heard(`http://127.0.0.1:${port}`);
    const client = await bundleForNode('examples/serve_client.ts', folder);
    const printed = await run(
      client,
      [`http://127.0.0.1:${port}`, 'washer', 'app/demo/rust.png', 'app/demo/good-1.png'],
      { env: { AAND_TOKEN: 'a-long-token' } },
    );
    const [rust, good] = printed.trim().split('\n');
    expect(rust).toMatch(/^anomalous\t[01]\.\d{3}\tapp\/demo\/rust\.png\t\d+,\d+ \d+x\d+/);
    expect(good).toMatch(/^good\t0\.\d{3}\tapp\/demo\/good-1\.png/);
    server.child.kill('SIGTERM');
    await server.ended;
  });

  test('asks again where the server is busy, and says what else it answered', async () => {
    const answers = [429, 200, 404];
    const server = createServer((request, response) => {
      request.resume();
      response.statusCode = answers.shift() as number;
      response.setHeader('retry-after', '0');
      response.end('{"pred_label":null,"pred_score":null,"raw_score":2,"regions":[]}');
    });
    await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
    const client = await bundleForNode('examples/serve_client.ts', folder);
    const ask = () =>
      run(client, [`http://127.0.0.1:${(server.address() as AddressInfo).port}`, 'm', 'app/demo/rust.png']);
    expect(await ask()).toBe('no threshold\t2.000\tapp/demo/rust.png\t\n');
    await expect(ask()).rejects.toThrow(/app\/demo\/rust\.png: 404/);
    server.close();
  });
});

test('every example says how it is run, or has a page', () => {
  const files = readdirSync('examples', { withFileTypes: true });
  const silent = files
    .filter((file) => file.isFile() && file.name.endsWith('.ts'))
    .filter(({ name }) => {
      const text = readFileSync(join('examples', name), 'utf8');
      return !/npx tsx examples\/|\.html loads|worker of worker_page/.test(text);
    });
  expect(silent).toEqual([]);
  const folders = files.filter((file) => file.isDirectory()).map(({ name }) => name);
  for (const name of folders) expect(readdirSync(join('examples', name))).toContain('package.json');
});

function freePort(): Promise<number> {
  const server = createServer();
  return new Promise((found) =>
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => found(port));
    }),
  );
}
