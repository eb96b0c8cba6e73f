import { functionOf } from '../../host/picture.ts';
import { USAGE, type Usage } from '../../host/usage.ts';
import { type Check, check } from '../check.ts';

const WORDS: Record<Usage['kind'], (what: string) => string> = {
  mount: (what) => (what === '/' ? 'it holds the root file system of this host' : `the file system mounted at ${what} needs it`),
  swap: (what) => `the swap area ${what} is on it`,
  'default-route': (what) => `the default route of this host goes through it (${what})`,
  vfio: (what) => `another guest has it: its group is open in ${what}`,
};

export const notInUse: Check = check({
  id: 'use/free',
  asks: 'Can the host do without it?',
  source: 'proc(5) mountinfo, swaps, net/route; open files below /proc/PID/fd',
  run(picture, bdf) {
    const found = functionOf(picture, bdf);
    const uses = picture.usage.filter(
      (usage) => usage.bdf === bdf || (usage.group !== undefined && usage.group === found?.group),
    );
    const seen = uses.map((usage) => ({ where: usage.where, text: usage.what }));
    if (uses.length > 0)
      return {
        is: 'fail',
        because: [...new Set(uses.map((usage) => WORDS[usage.kind](usage.what)))].join('; '),
        seen,
        fix: uses.map((usage) =>
          usage.kind === 'vfio'
            ? 'stop that guest, or take another function'
            : 'move what the host needs to another device first',
        ),
      };
    const withheld = picture.unread.find(({ what }) => what === USAGE);
    if (withheld !== undefined)
      return {
        is: 'unknown',
        because: 'what uses the devices of this host could not be read',
        seen: [{ where: withheld.what, text: withheld.because }],
      };
    return { is: 'pass', because: 'nothing that was looked for uses it', seen };
  },
});
