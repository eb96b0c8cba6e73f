import { accessSync, constants } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** Where a real file was found, or why it was not. */
export type Found = { path: string; skip: false } | { path: ''; skip: string };

/**
 * A real program or image for the tests of the lab: what the environment variable names, else the one at that path in the
 * lab's cache. In CI its absence is a failure, elsewhere it is a reason to skip.
 */
export async function realFile(variable: string, inLab: string): Promise<Found> {
  const path = process.env[variable] ?? join((await labFolder()) ?? '/no-lab', inLab);
  try {
    accessSync(path, constants.R_OK);
    return { path, skip: false };
  } catch {
    const why = `${path} is not there; set ${variable} or run: sluice lab setup`;
    if (process.env.CI === 'true') throw new Error(why);
    return { path: '', skip: why };
  }
}

/** The lab's folder in the user's cache, or undefined when none is set up. */
export async function labFolder(): Promise<string | undefined> {
  const store = join(process.env.XDG_CACHE_HOME || join(process.env.HOME || homedir(), '.cache'), 'sluice', 'lab');
  for (const flavour of ['backports', 'stock']) {
    const name = await readFile(join(store, `${flavour}.current`), 'utf8').catch(() => undefined);
    if (name) return join(store, name.trim());
  }
  return undefined;
}
