/** The API reference: everything that both faces export has a comment, and links in comments lead somewhere. */
import { Application, Logger, LogLevel } from 'typedoc';
import { expect, test } from 'vitest';

class Messages extends Logger {
  readonly texts: string[] = [];
  override log(message: string, level: LogLevel): void {
    super.log(message, level);
    if (level >= LogLevel.Warn) this.texts.push(message);
  }
}

test('TypeDoc finds nothing without a comment and no broken link', async () => {
  // Links to sources need a remote, which not every checkout has.
  const app = await Application.bootstrapWithPlugins({ options: 'typedoc.json', disableSources: true });
  const messages = new Messages();
  app.logger = messages;
  const project = await app.convert();
  expect(project?.children?.map(({ name }) => name)).toEqual(['engine', 'index']);
  if (project) app.validate(project);
  expect(messages.texts).toEqual([]);
});
