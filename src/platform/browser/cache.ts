/** Nothing is kept in browsers: a page's storage is not the library's to fill. */

export function keptText(_name: string): string | undefined {
  return undefined;
}

export async function keepText(_name: string, _text: string): Promise<void> {}
