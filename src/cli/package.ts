import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Folder of our package.json: two above the bundle, three above this file as it is compiled alone. */
export function packageFolder(): string {
  const here = dirname(fileURLToPath(import.meta.url));
  for (const up of ['../..', '../../..']) if (existsSync(join(here, up, 'package.json'))) return join(here, up);
  throw new Error(`${here} is not inside the package of Sluice`);
}

export function version(): string {
  return (JSON.parse(readFileSync(join(packageFolder(), 'package.json'), 'utf8')) as { version: string }).version;
}

/** The bundled program, as node runs it. */
export function program(): string {
  return join(packageFolder(), 'dist', 'bin', 'sluice.js');
}
