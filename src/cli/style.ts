/** How the commands speak: colours where a terminal has them, notes, warnings, and what comes next. */
import picocolors from 'picocolors';

/** Whether texts to a stream have colours: NO_COLOR and FORCE_COLOR decide, else whether it is a terminal. */
export function hasColours(
  stream: { readonly isTTY?: boolean | undefined },
  environment: Readonly<Record<string, string | undefined>> = process.env,
): boolean {
  const { NO_COLOR, FORCE_COLOR, TERM } = environment;
  if (NO_COLOR) return false;
  if (FORCE_COLOR) return FORCE_COLOR !== '0' && FORCE_COLOR !== 'false';
  return stream.isTTY === true && TERM !== 'dumb';
}

/** Colours of results. */
export const onOutput = picocolors.createColors(hasColours(process.stdout));

/** Colours of messages. */
export const onErrors = picocolors.createColors(hasColours(process.stderr));

/** Prints a message; a bar of progress that is in its line goes, and comes back with its next step. */
function say(text: string): void {
  console.error(process.stderr.isTTY ? `\r\x1b[K${text}` : text);
}

/** Something that is good to know. */
export function note(text: string): void {
  say(`${onErrors.cyan('note:')} ${text}`);
}

/** Something that may make a result worse than it seems. */
export function warn(text: string): void {
  say(`${onErrors.yellow('warning:')} ${text}`);
}

/** Why a command ends without its result. */
export function failure(text: string): void {
  say(`${onErrors.red('aand:')} ${text}`);
}

/** What a user does next, in a line or two: the command first, then what it is for. */
export function next(...lines: readonly string[]): void {
  for (const [i, line] of lines.entries()) say(onErrors.dim(`${i ? '      ' : 'next: '}${line}`));
}

/** An argument as a shell takes it. */
export function quoted(text: string): string {
  return /^[\w@%+=:,./~-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
