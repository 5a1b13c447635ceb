/** Vite plugin: `.wesl` files are modules that export their text, as esbuild's text loader gives them. */
export function weslPlugin() {
  return {
    name: 'wesl-text',
    transform(code: string, id: string) {
      return id.endsWith('.wesl')
        ? { code: `export default ${JSON.stringify(code)};`, map: null }
        : undefined;
    },
  };
}
