/**
 * A part of a run on a GPU machine: it is a process of its own with a budget of time, and keeps every row as
 * soon as it has it. So a part that fails, hangs or takes the driver down loses nothing of the others.
 */
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Tuning } from '../../src/engine/device/tuning.ts';
import { Engine, type EngineOptions } from '../../src/engine/runtime/engine.ts';

/** A line of a part's table. */
export interface Row {
  readonly name: string;
  /** Whether what was checked holds; null where nothing was checked. */
  readonly passed: boolean | null;
  /** Numbers and words by the heading of their column. */
  readonly figures: Readonly<Record<string, number | string>>;
  /** Why it failed, or was not run. */
  readonly note?: string;
  /** It was not run, for the time of its part was up. */
  readonly notRun?: boolean;
}

export interface Part {
  readonly name: string;
  readonly title: string;
  /** What its rows mean, for the page. */
  readonly about: string;
  /** Budget of a full run, in seconds. */
  readonly seconds: number;
  run(context: PartContext): Promise<void>;
}

export interface Settings {
  /** Small sizes, for a rehearsal on a software driver. */
  readonly quick: boolean;
  /** Go on where the adapter is a software driver. */
  readonly allowSoftware: boolean;
  /** Where the goldens and the peers' script are. */
  readonly data: string;
  /** Where the parts keep their rows. */
  readonly folder: string;
}

export const rowsFile = (folder: string, part: string) => join(folder, `${part}.jsonl`);
const tuningsFile = (folder: string) => join(folder, 'tunings.json');

/** What a part has kept so far. */
export function readRows(folder: string, part: string): Row[] {
  const path = rowsFile(folder, part);
  if (!existsSync(path)) return [];
  return (
    readFileSync(path, 'utf8')
      .split('\n')
      // The last line of a process that was killed may be cut off.
      .filter((line) => line.endsWith('}'))
      .map((line) => JSON.parse(line) as Row)
  );
}

/** A figure as people read it. */
export function figureText(value: number | string): string {
  if (typeof value === 'string') return value;
  if (Number.isInteger(value)) return String(value);
  return Math.abs(value) < 1e-3 || Math.abs(value) >= 1e6 ? value.toExponential(2) : value.toPrecision(4);
}

export class PartContext {
  readonly settings: Settings;
  readonly #part: string;
  readonly #ends: number;
  #longest = 0;

  constructor(settings: Settings, part: string, seconds: number) {
    this.settings = settings;
    this.#part = part;
    this.#ends = performance.now() + 1000 * seconds;
  }

  get secondsLeft(): number {
    return (this.#ends - performance.now()) / 1000;
  }

  /** Keeps a row and prints it. */
  keep({ figures: given, ...rest }: Row): void {
    // JSON has no form for a number that is not finite.
    const finite = Object.entries(given).map(([name, value]) => [
      name,
      typeof value === 'number' && !Number.isFinite(value) ? String(value) : value,
    ]);
    const row: Row = { ...rest, figures: Object.fromEntries(finite) };
    appendFileSync(rowsFile(this.settings.folder, this.#part), `${JSON.stringify(row)}\n`);
    const mark = row.passed === null ? ' ' : row.passed ? '+' : '!';
    const figures = Object.entries(row.figures).map(([name, value]) => `${name} ${figureText(value)}`);
    console.log(`  ${mark} ${row.name.padEnd(44)} ${[...figures, row.note].filter(Boolean).join('  ')}`);
  }

  /**
   * Keeps the row that the work gives; where it throws, a row that failed. Where less time is left than the
   * longest work of this part took, a row that says that it was not run.
   */
  async attempt(name: string, work: () => Promise<Omit<Row, 'name'>>): Promise<void> {
    const before = this.secondsLeft;
    if (before < Math.max(1, this.#longest)) {
      this.keep({ name, passed: null, figures: {}, notRun: true, note: 'not run: the time was up' });
      return;
    }
    try {
      this.keep({ name, ...(await work()) });
    } catch (error) {
      this.keep({ name, passed: false, figures: {}, note: (error as Error).message.slice(0, 600) });
    }
    this.#longest = Math.max(this.#longest, before - this.secondsLeft);
  }

  /** A figure that an earlier part has kept. */
  figure(part: string, name: string, column: string): number | undefined {
    const value = readRows(this.settings.folder, part).find((row) => row.name === name)?.figures[column];
    return typeof value === 'number' ? value : undefined;
  }

  /** What the part `tune` has found so far; none in the parts before it. */
  get tunings(): Tuning[] {
    const path = tuningsFile(this.settings.folder);
    return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as Tuning[]) : [];
  }

  get tuningsFile(): string {
    return tuningsFile(this.settings.folder);
  }

  /** Opens an engine for some work, and closes it. */
  async withEngine<T>(options: EngineOptions, work: (engine: Engine) => Promise<T>): Promise<T> {
    const engine = await Engine.open({ exactTimestamps: true, ...options });
    try {
      return await work(engine);
    } finally {
      await engine.close();
    }
  }
}
