import { HostError, type Hypervisor } from '../host.ts';
import { errnoOf, hostError } from './errors.ts';
import { probeKvm } from './kvm.ts';
import { runProgram } from './programs.ts';
import type { Root } from './root.ts';
import type { Sys } from './sys.ts';

/** Programs and sockets of this machine. What looking does not need is loaded when it is used. */
export function liveHypervisor(root: Root, sys: () => Promise<Sys>): Hypervisor {
  return {
    run: runProgram,
    start: async (argv, { memlock, output }) =>
      await (await import('./detached.ts')).startDetached(argv, memlock, root.locate(output, 'follow')),
    async signal(pid, signal) {
      // 0 and negative numbers are whole groups of processes, 1 is init.
      if (!Number.isInteger(pid) || pid <= 1)
        throw new HostError(`process ${pid}`, `is nothing that could be sent ${signal}`, 'EINVAL');
      try {
        return process.kill(pid, signal);
      } catch (error) {
        if (errnoOf(error) === 'ESRCH') return false;
        throw hostError(`process ${pid}`, `send ${signal}`, error);
      }
    },
    connect: async (path, timeout) =>
      await (await import('./channel.ts')).connectChannel(root.locate(path, 'follow'), path, timeout),
    kvm: async () => {
      if (!root.real) throw new HostError('KVM', 'a tree of files does not tell whether it runs a guest', 'ENODATA');
      return await probeKvm(sys);
    },
  };
}
