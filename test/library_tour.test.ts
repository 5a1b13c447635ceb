/** docs/library.md runs as it is written: its code for Node as one program and recipes, for pages by its types. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import ts from 'typescript';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { encodePng } from '../src/platform/node.ts';
import { demoProducts, drawPart, type Product } from '../src/synthetic/demo_products.ts';
import { bundleForNode, run } from './support/examples.ts';

const root = resolve('.');
const page = readFileSync('docs/library.md', 'utf8');
const blocks = [...page.matchAll(/^```(ts[ a-z]*)\n([\s\S]*?)^```$/gm)].map(([, kind, code]) => ({
  kind: kind as string,
  code: code as string,
}));
const codeOf = (kind: string) => blocks.filter((block) => block.kind === kind).map(({ code }) => code);
const tour = codeOf('ts').join('\n');
const recipes = codeOf('ts recipe');
let folder: string;

beforeAll(async () => {
  // Below the project, so that its packages and compiler options are found.
  mkdirSync('node_modules/.cache', { recursive: true });
  folder = mkdtempSync(join(root, 'node_modules/.cache/tour-'));
  const washer = demoProducts[0] as Product;
  const write = async (name: string, defect: string | undefined, index: number) => {
    const path = join(folder, 'photos', name);
    mkdirSync(join(path, '..'), { recursive: true });
    writeFileSync(path, await encodePng(drawPart(washer, defect, 0, index).image));
  };
  for (let i = 0; i < 6; i++) await write(`good/${i}.png`, undefined, i);
  for (let i = 0; i < 3; i++) await write(`bad/${i}.png`, 'rust', i);
  await write('new/a.png', 'rust', 9);
  await write('new/b.png', undefined, 9);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Runs a program in the folder of the photographs; what it prints. */
async function ran(name: string, code: string): Promise<string> {
  const source = join(folder, `${name}.ts`);
  writeFileSync(source, code);
  return run(await bundleForNode(source, folder), [], { cwd: folder });
}

test('there are a tour, recipes and code for pages', () => {
  expect(codeOf('ts').length).toBeGreaterThanOrEqual(4);
  expect(recipes.length).toBeGreaterThanOrEqual(2);
  expect(codeOf('ts page').length).toBeGreaterThanOrEqual(2);
});

test('all code fits the types', () => {
  const sources = [tour, ...recipes, ...codeOf('ts page')].map((code, i) => {
    const path = join(folder, `typed${i}.ts`);
    writeFileSync(path, `${code}\nexport {};\n`);
    return path;
  });
  const { config } = ts.readConfigFile('tsconfig.json', ts.sys.readFile) as { config: object };
  const { options } = ts.parseJsonConfigFileContent({ ...config, include: [], files: [] }, ts.sys, root);
  const program = ts.createProgram(sources, { ...options, incremental: false, noUnusedLocals: false });
  const found = sources.flatMap((path) =>
    ts
      .getPreEmitDiagnostics(program, program.getSourceFile(path))
      .map(({ messageText }) => `${path}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`),
  );
  expect(found).toEqual([]);
});

test('the tour runs: it learns, keeps, opens, predicts and draws', async () => {
  const printed = await ran('tour', tour);
  expect(printed).toMatch(/^reading: \d+ %/);
  expect(printed).toContain('stage II: ');
  expect(printed).toMatch(/^of 3 bad parts \d were missed\n.+/m);
  expect(printed).toMatch(/^compiling 0\.\d+$/m);
  // The opened model gives the same bits.
  expect(printed).toMatch(/^true$/m);
  expect(printed).not.toMatch(/^false$\s^false$\s^false$/m);
  expect(readFileSync(join(folder, 'a-heat.png')).subarray(1, 4).toString()).toBe('PNG');
  expect(existsSync(join(folder, 'washer.safetensors'))).toBe(true);
});

test('the recipes run on the model of the tour', async () => {
  const printed: string[] = [];
  for (const [i, recipe] of recipes.entries()) printed.push(await ran(`recipe${i}`, recipe));
  expect(printed[0]).toMatch(
    /^[\d.]+ at most 1 % false alarms on 6 .*, 0 of 6\n|^[\d.]+ at most 1 % false alarms/,
  );
  expect(printed[1]?.trim().split('\n')).toHaveLength(2);
});
