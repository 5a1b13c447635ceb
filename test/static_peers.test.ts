/** What `npm run bench:peers -- --static` reads from a process of another engine. */
import { expect, test } from 'vitest';
import { familyNamed } from '../bench/static/families.ts';
import { peerLines, unnamedKernels } from '../bench/static/peers.ts';

test('kernels without names are kept in their order, other lines of the record are not', () => {
  const record = [
    '{"opened":{"driver":"radv"}}',
    '{"subgroup":64,"statistics":{"VGPRs":72},"assembly":"s_endpgm"}',
    'words of a driver',
    '{"label":"a name"}',
    '{"subgroup":32,"statistics":{"VGPRs":24}}',
    '',
  ].join('\n');
  const kernels = unnamedKernels(record);
  expect(kernels.map(({ subgroup, statistics }) => [subgroup, statistics.VGPRs])).toEqual([
    [64, 72],
    [32, 24],
  ]);
  expect(kernels.map(({ assembly }) => assembly)).toEqual(['s_endpgm', undefined]);
});

test('an engine has a line for itself and one for its products that are alike', () => {
  const product = {
    multiplyAdds: 128,
    mainLoop: 0.77,
    step: 0.46,
    limit: 'LDS',
    registers: 108,
    occupancy: 12,
    spills: 0,
  };
  const figures = {
    engine: 'tfjs',
    kernels: 22,
    spilling: 1,
    products: [product, product, { ...product, step: 0.3 }],
    host_ms: 1.234,
  };
  const [head, own, ...products] = peerLines(familyNamed('NAVI31'), [figures]).split('\n');
  expect(head).toContain('NAVI31');
  expect(own).toBe('  tfjs: 22 kernels, 1 spill; 1.23 ms of the host per run');
  expect(products).toHaveLength(2);
  expect(products[0]).toMatch(
    /^ +2 x +128 multiply-adds a turn: main loop {2}77 %, K step {2}46 % of peak \(LDS\)/,
  );
});
