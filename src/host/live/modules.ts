import type { HostFiles, Modules } from '../host.ts';
import { errnoOfText } from './errors.ts';
import { demand } from './programs.ts';

/** Kernel modules through /proc/modules, modprobe and rmmod. */
export function liveModules(files: HostFiles): Modules {
  return {
    async loaded() {
      // A kernel without loadable modules has no such file.
      const text = (await files.readText('/proc/modules')) ?? '';
      return text.split('\n').flatMap((line) => line.split(' ', 1).filter((name) => name !== ''));
    },
    load: async (name) => void (await demand(['modprobe', '--', name], name, errnoOfModule)),
    // rmmod, not `modprobe -r`: that one would take the modules below it along.
    unload: async (name) => void (await demand(['rmmod', '--', name], name, errnoOfModule)),
  };
}

/** The kernel says EAGAIN to removing a module in use, which rmmod words in its own way. */
export function errnoOfModule(said: string): string | undefined {
  if (/is in use|Resource temporarily unavailable/.test(said)) return 'EBUSY';
  if (/not found in directory|not found in modules\.dep|is not currently loaded/.test(said)) return 'ENOENT';
  return errnoOfText(said);
}
