import { functionOf } from '../../host/picture.ts';
import { USAGE, type Usage } from '../../host/usage.ts';
import { type Check, check } from '../check.ts';
import { once, usesOf } from '../index-of.ts';

const WORDS: Record<Usage['kind'], (what: string) => string> = {
  mount: (what) => (what === '/' ? 'it holds the root file system of this host' : `the file system mounted at ${what} needs it`),
  swap: (what) => `the swap area ${what} is on it`,
  holder: (what) => `it is held by ${what}`,
  'switch-port': (what) => `its interface ${what} is a port of Open vSwitch`,
  namespace: (driver) => `its interface is in another network namespace (${driver} has it, and none is here)`,
  'default-route': (what) => `the default route of this host goes through it (${what})`,
  vfio: (what) => `another guest has it: its group is open in ${what}`,
};

/** What a use means, as a sentence about the function. */
export function wordsFor({ kind, what }: Usage): string {
  return WORDS[kind](what);
}

export const notInUse: Check = check({
  id: 'use/free',
  asks: 'Can the host do without it?',
  source: 'proc(5) mountinfo, swaps, net/route; holders in sysfs; open(2) O_EXCL; open files below /proc/PID/fd',
  run(picture, bdf) {
    const found = functionOf(picture, bdf);
    const uses = usesOf(picture, bdf, found?.group);
    const seen = uses.map((usage) => ({ where: usage.where, text: usage.what }));
    if (uses.length > 0)
      return {
        is: 'fail',
        because: [...new Set(uses.map(wordsFor))].join('; '),
        seen,
        fix: [...new Set(uses.map(remedy))],
      };
    const { all, some } = unseen(picture);
    const withheld = [...(all === undefined ? [] : [all]), ...some.filter(({ about }) => about?.includes(bdf))];
    if (withheld.length > 0)
      return {
        is: 'unknown',
        because:
          all === undefined
            ? `it may be in use unseen: ${withheld.map((one) => `${one.what}: ${one.because}`).join('; ')}`
            : 'what uses the devices of this host could not be read',
        seen: withheld.map((one) => ({ where: one.what, text: one.because })),
      };
    return { is: 'pass', because: 'nothing that was looked for uses it', seen };
  },
});

/** What could not be looked at: for all functions, and for some. */
const unseen = once(({ unread }) => ({
  all: unread.find(({ what }) => what === USAGE),
  some: unread.filter(({ about }) => about !== undefined && about.length > 0),
}));

function remedy({ kind, pid }: Usage): string {
  if (kind === 'vfio') return 'stop that guest, or take another function';
  if (kind === 'namespace') return 'stop the container that has its interface, or take another function';
  return pid === undefined ? 'move what the host needs to another device first' : 'stop that program, or take another function';
}
