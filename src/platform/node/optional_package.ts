/**
 * Packages that a project installs only where it needs them. The library and the command line need them in
 * Node; browsers need none.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { MissingPackageError } from '../../base/errors.ts';
import { packageRoot } from './package_root.ts';

/** What to install, with the version that this package was tested with: `webgpu@^0.6.2`. */
function installable(name: string): string {
  const text = readFileSync(join(packageRoot(), 'package.json'), 'utf8');
  const { peerDependencies } = JSON.parse(text) as {
    readonly peerDependencies: Readonly<Record<string, string>>;
  };
  return `"${name}@${peerDependencies[name]}"`;
}

/**
 * The error that an optional package's absence is reported with.
 *
 * @param name of the package
 * @param purpose what it is needed for, as a subject: `WebGPU in Node`
 * @param error what loading it threw
 */
export function missingPackage(name: string, purpose: string, error: unknown): Error {
  const { code, message } = error as NodeJS.ErrnoException;
  const absent = /^(ERR_)?MODULE_NOT_FOUND$/.test(code ?? '') && message.includes(`'${name}'`);
  return new MissingPackageError(
    absent
      ? `${purpose} needs the package ${name}: npm install ${installable(name)}`
      : `${purpose} needs the package ${name}, which cannot be loaded: ${message}`,
    { cause: error },
  );
}
