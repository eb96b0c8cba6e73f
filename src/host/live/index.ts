import { setTimeout as sleep } from 'node:timers/promises';
import { type Host, HostError } from '../host.ts';
import { liveFiles } from './files.ts';
import { liveHypervisor } from './hypervisor.ts';
import { liveLinks } from './links.ts';
import { liveModules } from './modules.ts';
import { liveNvme } from './nvme.ts';
import { rootAt } from './root.ts';
import { nativeSys } from './sys.ts';
import { liveVfio } from './vfio.ts';

/**
 * This Linux machine. Native calls are loaded when the first one is made, so looking needs no optional package.
 *
 * @param options.root another folder in which its files are found, such as a tree recorded elsewhere; default `/`. Files,
 *   kernel log, sockets and outputs are below it. What only the machine itself can answer (its interfaces over netlink, whether
 *   KVM runs a guest, what an NVMe controller says) is then an error, for this machine is another one; programs that are
 *   started are those of this machine
 */
export function liveHost(options: { root?: string } = {}): Host {
  const root = rootAt(options.root ?? '/');
  const files = liveFiles(root, nativeSys);
  return {
    name: root.real ? 'live' : `live:${options.root}`,
    clock: { now: () => Date.now(), sleep: async (milliseconds) => await sleep(milliseconds) },
    files,
    links: root.real ? liveLinks() : { ...liveLinks(), list: () => untold('network interfaces') },
    modules: liveModules(files),
    nvme: root.real ? liveNvme(nativeSys) : { admin: untold },
    vfio: liveVfio(nativeSys),
    hypervisor: liveHypervisor(root, nativeSys),
  };
}

async function untold(what: string): Promise<never> {
  throw new HostError(what, 'a tree of files does not tell', 'ENODATA');
}
