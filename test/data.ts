import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Root of the repository, from dist/test. */
export const ROOT: string = fileURLToPath(new URL('../../', import.meta.url));

/**
 * A folder of the recorded data that lives beside the repository, or undefined when it is not there: tests then skip with
 * a line that says so.
 */
export function sharedData(folder: string): string | undefined {
  const path = join(ROOT, '../shared/data', folder);
  return existsSync(path) ? path : undefined;
}
