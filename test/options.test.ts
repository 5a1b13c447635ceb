/**
 * Options of every command: what is no number, no list or no name of ours is refused before anything begins.
 */
import { CommanderError, type Option } from 'commander';
import { describe, expect, test } from 'vitest';
import { decimal } from '../src/base/decimal.ts';
import { commandLine } from '../src/cli/program.ts';
import { parseForeground } from '../src/data/foreground.ts';
import { parseThreshold } from '../src/eval/thresholds.ts';

/** No number at all, or one that nobody writes so. */
const nonsense = [
  'abc',
  '',
  ' ',
  '1e999',
  '0x10',
  '0b1',
  ' 5',
  '5 ',
  '1_000',
  '1,000',
  '٣',
  'NaN',
  'Infinity',
  '-Infinity',
];
const notWhole = [...nonsense, '3.5', '-1', '1e2', '+5', '9007199254740993'];

interface Numeric {
  readonly command: string;
  readonly option: string;
  readonly range: RegExp;
  readonly good: readonly (readonly [text: string, value: unknown])[];
  readonly bad: readonly string[];
}

const size = (command: string): Numeric => ({
  command,
  option: '--image-size',
  range: /whole number from 32 to 8192|not a multiple of 32/,
  good: [
    ['32', 32],
    ['8192', 8192],
  ],
  bad: [...notWhole, '0', '31', '33', '8224'],
});
const batch = (command: string): Numeric => ({
  command,
  option: '--batch',
  range: /whole number from 1 to 4096/,
  good: [
    ['1', 1],
    ['4096', 4096],
  ],
  bad: [...notWhole, '0', '4097'],
});
const seed = (command: string, option = '--seed'): Numeric => ({
  command,
  option,
  range: /whole number of at least 0/,
  good: [
    ['0', 0],
    ['9007199254740991', Number.MAX_SAFE_INTEGER],
  ],
  bad: [...notWhole, '9007199254740992'],
});
const count = (command: string, option: string): Numeric => ({
  command,
  option,
  range: /whole number of at least 1/,
  good: [['1', 1]],
  bad: [...notWhole, '0'],
});
const tiles = (command: string): Numeric[] => [
  {
    command,
    option: '--tile',
    range: /whole number from 32 to 65536/,
    good: [['32', 32]],
    bad: [...notWhole, '31', '65537'],
  },
  {
    command,
    option: '--tile-overlap',
    range: /whole number from 0 to 32768/,
    good: [['0', 0]],
    bad: [...notWhole, '32769'],
  },
];
const data = (command: string): Numeric[] => [
  {
    command,
    option: '--test-split-ratio',
    range: /number above 0 and below 1/,
    good: [
      ['.5', 0.5],
      ['1e-3', 0.001],
    ],
    bad: [...nonsense, '0', '1', '-0.1', '20%'],
  },
  seed(command, '--split-seed'),
];
const training = (command: string): Numeric[] => [
  size(command),
  batch(command),
  {
    command,
    option: '--epochs',
    range: /two whole numbers|whole number from 1 to 100000/,
    good: [['1,100000', [1, 100_000]]],
    bad: [
      ...nonsense,
      '1',
      '1,',
      ',1',
      '1,2,3',
      '0,1',
      '1,0',
      '1,-1',
      '1,1.5',
      '1, 2',
      '1;2',
      '1,1e9',
      '1,100001',
    ],
  },
  count(command, '--limit'),
  ...tiles(command),
  {
    command,
    option: '--coreset',
    range: /number above 0 and below 1/,
    good: [
      ['0.1', 0.1],
      ['0.001', 0.001],
    ],
    bad: [...nonsense, '0', '1', '-0.1', '10%'],
  },
  {
    command,
    option: '--hold-out',
    range: /number of at least 0 and below 1/,
    good: [
      ['0', 0],
      ['0.999', 0.999],
    ],
    bad: [...nonsense, '1', '-0.1', '50'],
  },
  {
    command,
    option: '--drop-suspects',
    range: /number above 0 and below 1/,
    good: [['.1', 0.1]],
    bad: [...nonsense, '0', '1', '-0.1', '10'],
  },
  ...data(command),
];

const wait = (command: string): Numeric => ({
  command,
  option: '--queue-wait',
  range: /whole number from 1 to 86400/,
  good: [['1', 1]],
  bad: [...notWhole, '0', '86401'],
});

const numeric: readonly Numeric[] = [
  wait('benchmark'),
  wait('worker'),
  ...training('train'),
  seed('train'),
  ...training('benchmark'),
  ...data('data'),
  {
    command: 'data',
    option: '--suspects',
    range: /whole number of at least 1, or a share above 0 and below 1/,
    good: [
      ['25', 25],
      ['.05', 0.05],
    ],
    bad: [...nonsense.filter((text) => !text.startsWith('-')), '0', '1.5', '10%'],
  },
  ...data('test'),
  ...data('preview'),
  size('preview'),
  ...tiles('preview'),
  seed('preview'),
  {
    command: 'distill-teacher',
    option: '--image-size',
    range: /whole number from 32 to 8192|not a multiple of 32|one item is empty|names 64 twice/,
    good: [
      ['64', [64]],
      ['64,128', [64, 128]],
    ],
    bad: [...notWhole, '0', '33', '64,', '64,64', '64,33'],
  },
  {
    command: 'distill-teacher',
    option: '--mix',
    range: /number of at least 0 and of at most 1/,
    good: [
      ['0', 0],
      ['.3', 0.3],
      ['1', 1],
    ],
    bad: [...nonsense, '-0.1', '1.001'],
  },
  {
    command: 'distill-teacher',
    option: '--blockwise',
    range: /number of at least 0 and of at most 1/,
    good: [
      ['0', 0],
      ['.6', 0.6],
      ['1', 1],
    ],
    bad: [...nonsense, '-0.1', '1.001'],
  },
  batch('distill-teacher'),
  {
    command: 'distill-teacher',
    option: '--epochs',
    range: /whole number from 1 to 100000/,
    good: [['1', 1]],
    bad: [...notWhole, '0', '100001'],
  },
  {
    command: 'distill-teacher',
    option: '--learning-rate',
    range: /number above 0 and of at most 1/,
    good: [
      ['1', 1],
      ['1e-5', 0.00001],
      ['.002', 0.002],
    ],
    bad: [...nonsense, '0', '-0.1', '1.001', '1e30'],
  },
  seed('distill-teacher'),
  size('doctor'),
  batch('doctor'),
  size('tune'),
  batch('tune'),
  {
    command: 'bench',
    option: '--seconds',
    range: /number above 0 and of at most 600/,
    good: [
      ['.1', 0.1],
      ['600', 600],
    ],
    bad: [...nonsense, '0', '-1', '601'],
  },
  {
    command: 'bench',
    option: '--max-spread',
    range: /number above 0 and of at most 100/,
    good: [['2.5', 2.5]],
    bad: [...nonsense, '0', '101', '10%'],
  },
  {
    command: 'bench compare',
    option: '--tolerance',
    range: /number of at least 0 and below 100/,
    good: [
      ['0', 0],
      ['99.9', 99.9],
    ],
    bad: [...nonsense, '-1', '100', '5%'],
  },
  size('import'),
  batch('export'),
  count('export', '--images'),
  count('serve', '--capacity'),
  {
    command: 'serve',
    option: '--port',
    range: /whole number from 0 to 65535/,
    good: [
      ['0', 0],
      ['65535', 65_535],
    ],
    bad: [...notWhole, '65536'],
  },
  ...(
    [
      ['--max-body', '1024', '1025', '0'],
      ['--timeout', '3600', '3601', '0'],
      ['--batch-delay', '10000', '10001', '-1'],
      ['--watch-settle', '3600', '3601', '0'],
      ['--watch-poll', '3600', '3601', '0'],
    ] as const
  ).map(
    ([option, most, above, below]): Numeric => ({
      command: 'serve',
      option,
      range: /number (above|of at least) 0 and of at most/,
      good: [
        ['0.5', 0.5],
        [most, Number(most)],
      ],
      bad: [...nonsense, above, below],
    }),
  ),
  {
    command: 'serve',
    option: '--interval',
    range: /number of at least 0.02 and of at most 86400/,
    good: [
      ['0.02', 0.02],
      ['86400', 86_400],
    ],
    bad: [...nonsense, '0', '0.01', '86401'],
  },
  ...['--watch-settle', '--watch-poll'].map(
    (option): Numeric => ({
      command: 'predict',
      option,
      range: /number above 0 and of at most 3600/,
      good: [['0.5', 0.5]],
      bad: [...nonsense, '0', '3601'],
    }),
  ),
];

/** What a command must have beside the option in question. */
const needed: Readonly<Record<string, readonly string[]>> = {
  train: ['a', '--out', 'o'],
  benchmark: ['a', '--out', 'o'],
  data: ['a'],
  test: ['m', 'a', '--out', 'o'],
  preview: ['a'],
  predict: ['m', 'a'],
  serve: ['m'],
  demo: [],
  worker: ['--queue', 'redis://127.0.0.1:1'],
  calibrate: ['m'],
  import: ['a', '--out', 'o'],
  'weights pull': ['resnet18'],
  doctor: [],
  tune: [],
  bench: [],
  'bench compare': ['a', 'b'],
  export: ['m', '--to', 'onnx', '--out', 'o'],
  'distill-teacher': ['--from', 'f', '--images', 'i', '--out', 'o'],
};

/** Parses a command line that must not fit; nothing of it may run. */
async function refused(command: string, ...args: string[]): Promise<string> {
  const program = commandLine();
  let said = '';
  for (const part of [
    program,
    ...program.commands,
    ...program.commands.flatMap(({ commands }) => commands),
  ]) {
    part.configureOutput({ writeErr: (text) => (said += text) });
    part.action(() => {
      throw new Error(`aand ${command} ${args.join(' ')} began`);
    });
  }
  const error = await program.parseAsync(['node', 'aand', ...command.split(' '), ...args]).then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(error, `${command} ${args.join(' ')}: ${(error as Error | undefined)?.message}`).toBeInstanceOf(
    CommanderError,
  );
  expect((error as CommanderError).exitCode).not.toBe(0);
  return said;
}

function optionOf(command: string, name: string): Option {
  let at = commandLine();
  for (const part of command.split(' ')) at = at.commands.find((c) => c.name() === part) as typeof at;
  const option = at.options.find(({ long }) => long === name);
  if (!option) throw new Error(`aand ${command} has no ${name}`);
  return option;
}

describe('numbers', () => {
  test.each(
    numeric.map((row) => [row.command, row.option, row] as const),
  )('aand %s %s', async (command, name, row) => {
    for (const text of row.bad) {
      const said = await refused(command, ...(needed[command] ?? []), name, text);
      expect(said).toContain(`option '${name}`);
      expect(said).toContain(`argument '${text}' is invalid`);
      expect(said).toMatch(row.range);
    }
    const option = optionOf(command, name);
    for (const [text, value] of row.good) expect(option.parseArg?.(text, undefined)).toEqual(value);
  });

  test('every option with a number is in this table, and its default is read alike', () => {
    const program = commandLine();
    const named = program.commands.flatMap((command) => [
      { name: command.name(), command },
      ...command.commands.map((part) => ({ name: `${command.name()} ${part.name()}`, command: part })),
    ]);
    const found = named.flatMap(({ name, command }) =>
      command.options
        .filter(
          ({ flags, defaultValue }) =>
            /[<[](count|n|number|percent|pixels|share|rate|ratio|stage1,stage2|seconds|port|bytes)[>\]]/.test(
              flags,
            ) || typeof defaultValue === 'number',
        )
        .map(({ long }) => `${name} ${long}`),
    );
    expect(found.sort()).toEqual(numeric.map(({ command, option }) => `${command} ${option}`).sort());
    for (const { command, option } of numeric) {
      const { defaultValue, parseArg } = optionOf(command, option);
      if (defaultValue !== undefined)
        expect(parseArg?.(String(defaultValue), undefined)).toEqual(defaultValue);
    }
  });
});

describe('lists and names', () => {
  test.each([
    ['benchmark', '--modes', ['', 'rd,', ',rd', 'rd,,aand', 'rd,rd', 'RD', 'rd;aand', 'constructor']],
    ['benchmark', '--seeds', ['', '0,', '0,,1', '0,abc', '0,-1', '0,0', '0,1.5', '1e999', '0x1']],
    ['benchmark', '--categories', ['', 'a,', 'a,,b', 'a,a']],
    ['train', '--extensions', ['', '.png,', '.png,,.jpg', '*', '.p/g']],
    ['train', '--mode', ['', 'AAND', 'toString', 'aand,rd']],
    ['train', '--backbone', ['', 'vgg', 'constructor', '__proto__', 'ResNet18']],
    ['tune', '--backbone', ['', 'toString']],
    ['bench', '--dtype', ['f64', '']],
    ['bench', '--filter', ['']],
    ['bench', '--shape', [' ']],
    ['doctor', '--model', ['', 'hasOwnProperty']],
    ['import', '--backbone', ['vgg', 'valueOf']],
    ['distill-teacher', '--from-backbone', ['vgg', 'constructor']],
    ['distill-teacher', '--backbone', ['vgg', '']],
    ['demo', '--product', ['', 'bolt']],
    [
      'train',
      '--threshold',
      ['', 'max:1', 'quantile:', 'quantile:0x1', 'quantile:2', 'false-alarms:1', 'value:1e999'],
    ],
    ['calibrate', '--rule', ['best', 'quantile: 0.5', 'value:', 'value:1,', 'value:1,2,3', 'value:Infinity']],
    [
      'train',
      '--foreground',
      ['', 'threshold:', 'threshold:0x10', 'threshold:256', 'threshold: 5', 'folder:'],
    ],
    ['preview', '--foreground', ['threshold:1_0', 'discs']],
    ['train', '--select', ['best']],
    ['train', '--labels', ['both']],
    ['predict', '--dtype', ['f64', '']],
    ['train', '--out', ['', ' ']],
    ['train', '--weights', ['']],
    ['worker', '--name', ['']],
  ] as const)('aand %s %s', async (command, option, texts) => {
    for (const text of texts) {
      const said = await refused(command, ...(needed[command] ?? []), option, text);
      expect(said).toContain(`option '${option}`);
    }
  });

  test('several texts of one option are kept', () => {
    const option = optionOf('train', '--abnormal-dir');
    expect(option.parseArg?.('b', option.parseArg('a', undefined as never) as never)).toEqual(['a', 'b']);
    expect(() => option.parseArg?.('', ['a'] as never)).toThrow('It is empty');
  });

  test('blanks around the items of a list do not matter', () => {
    expect(optionOf('benchmark', '--modes').parseArg?.('rd, aand', undefined)).toEqual(['rd', 'aand']);
    expect(optionOf('train', '--extensions').parseArg?.('.png, jpg', undefined)).toEqual(['.png', 'jpg']);
  });
});

test.each(Object.keys(needed))('aand %s refuses what it does not know', async (command) => {
  expect(await refused(command, ...(needed[command] ?? []), '--no-such-option')).toContain(
    '--no-such-option',
  );
  if (!/^(predict|import|calibrate|serve)$/.test(command))
    expect(await refused(command, ...(needed[command] ?? []), 'surplus', 'surplus')).toMatch(
      /too many arguments|unknown/,
    );
});

test('decimal takes what people write', () => {
  const cases: [string, number][] = [
    ['5', 5],
    ['-0.5', -0.5],
    ['+1', 1],
    ['.25', 0.25],
    ['3.', 3],
    ['1e-3', 0.001],
    ['2E+2', 200],
  ];
  for (const [text, value] of cases) expect(decimal(text), text).toBe(value);
  for (const text of [...nonsense, '.', 'e5', '1e', '--1', '1.2.3']) expect(decimal(text), text).toBeNaN();
});

test('rules with numbers are as strict', () => {
  expect(parseThreshold('value:-1e-2,2')).toEqual({ kind: 'value', image: -0.01, pixel: 2 });
  expect(() => parseThreshold('quantile:0x1')).toThrow("threshold 'quantile:0x1' is not known");
  expect(parseForeground('threshold:12.5')).toEqual({ kind: 'threshold', threshold: 12.5, dark: false });
  expect(() => parseForeground('threshold:1e999')).toThrow("foreground rule 'threshold:1e999' is not known");
});
