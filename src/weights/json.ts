/**
 * JSON of files that somebody else may have made. Doubled keys are refused, and nesting deeper than the
 * caller expects.
 */

const tokens = /["{}[\],]/g;

/** What is open at a place of the text: the keys of an object so far, or a list. */
interface Level {
  readonly keys: Set<string> | undefined;
  /** Whether the next text of an object is a key. */
  key: boolean;
}

/**
 * The place behind a text that begins with the quote at `start`; the end of the whole text where the quote is
 * not closed.
 */
function endOfText(json: string, start: number): number {
  for (let at = json.indexOf('"', start + 1); at >= 0; at = json.indexOf('"', at + 1)) {
    let slashes = 0;
    while (json[at - 1 - slashes] === '\\') slashes++;
    if (slashes % 2 === 0) return at + 1;
  }
  return json.length;
}

/** Walks over text that need not be valid: JSON.parse reports what is malformed. */
function checkStructure(json: string, deepest: number): void {
  const levels: Level[] = [];
  tokens.lastIndex = 0;
  for (let found = tokens.exec(json); found; found = tokens.exec(json)) {
    const [token] = found;
    const level = levels.at(-1);
    if (token === '{' || token === '[') {
      if (levels.length >= deepest) throw new Error(`it is nested more than ${deepest} deep`);
      levels.push({ keys: token === '{' ? new Set() : undefined, key: true });
    } else if (token === '}' || token === ']') levels.pop();
    else if (token === ',') {
      if (level) level.key = true;
    } else {
      tokens.lastIndex = endOfText(json, found.index);
      if (!level?.keys || !level.key) continue;
      level.key = false;
      const name = JSON.parse(json.slice(found.index, tokens.lastIndex)) as string;
      if (level.keys.has(name)) throw new Error(`'${name.slice(0, 100)}' is there twice`);
      if (name === '__proto__') throw new Error(`'${name}' is no name that a file may use`);
      level.keys.add(name);
    }
  }
}

/**
 * Parses JSON text.
 *
 * @param deepest objects and lists inside of each other, at most
 * @throws Error on text that is no JSON, is nested deeper, or names something twice in one object
 */
export function parseJson(text: string, deepest: number): unknown {
  checkStructure(text, deepest);
  return JSON.parse(text);
}

/** Whether a value is an object with names, no list. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
