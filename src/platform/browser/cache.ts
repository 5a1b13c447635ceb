/** The cache of browsers: nothing is kept, because a page's storage belongs to the page. */

export function keptText(_name: string): string | undefined {
  return undefined;
}

export async function keepText(_name: string, _text: string): Promise<void> {}
