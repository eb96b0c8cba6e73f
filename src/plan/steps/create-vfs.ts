import { type Host, HostError } from '../../host/host.ts';
import { baseName } from '../../host/parse.ts';
import { readSriov } from '../../host/sriov.ts';
import { StepError, type StepKind, type StepOf } from '../step.ts';
import { refuseOpen } from './open-group.ts';

type CreateVfs = StepOf<'create-vfs'>;

/** What the kernel means by the errno of a write to `sriov_numvfs`. Source: Linux drivers/pci/iov.c, pci-sysfs.c. */
const MEANING: Record<string, string> = {
  ENOENT: 'the PF has no driver, or its driver cannot create VFs',
  ENOSYS: 'function 0 of the slot is not the PF that owns the VFs',
  ENOMEM: 'not enough MMIO space or bus numbers behind its port (try pci=realloc or pci=assign-busses)',
  ENOSPC: 'the bus numbers behind its port do not suffice',
  ERANGE: 'more than TotalVFs',
  EBUSY: 'there are VFs already: NumVFs changes only through 0',
};

export const createVfs: StepKind<CreateVfs, { numVFs: number }> = {
  title: (step) => `create ${step.count} VF${step.count === 1 ? '' : 's'} of ${step.pf}`,
  changes: (step) => [{ where: numvfs(step.pf), from: String(step.was), to: String(step.count) }],
  async observe(host, step) {
    const numVFs = await readCount(host, step.pf);
    if (numVFs !== step.was)
      throw new StepError(
        `${numvfs(step.pf)} is ${numVFs} and was ${step.was} when the plan was made: somebody else changes VFs`,
      );
    return { numVFs };
  },
  async run(host, step, cx) {
    try {
      await host.files.write(numvfs(step.pf), `${step.count}\n`);
    } catch (error) {
      if (error instanceof HostError && error.errno !== undefined && MEANING[error.errno] !== undefined)
        throw new StepError(`${error.message}: ${MEANING[error.errno]}`);
      throw error;
    }
    await cx.reached('VFs created');
    for (const [n, expected] of step.expect.entries()) {
      const found = await host.files.link(`/sys/bus/pci/devices/${step.pf}/virtfn${n}`);
      if (found === undefined || baseName(found) !== expected)
        throw new StepError(
          `VF ${n} of ${step.pf} was expected at ${expected} and is at ${found === undefined ? 'no address' : baseName(found)}`,
        );
    }
  },
  async restore(host, step, old, cx) {
    const now = await readCount(host, step.pf);
    if (now === old.numVFs) return undefined;
    if (now !== step.count)
      throw new StepError(
        `${numvfs(step.pf)} is ${now}, neither ${old.numVFs} as before nor ${step.count} as set: somebody else changed it`,
        [`make it ${old.numVFs} or ${step.count}, then revert again`],
      );
    await refuseOpen(host, await virtfns(host, step.pf, now));
    await host.files.write(numvfs(step.pf), `${old.numVFs}\n`);
    await cx.reached('VFs restored');
    return `${numvfs(step.pf)}: ${now} -> ${old.numVFs}`;
  },
};

/** The VFs that are there now, whoever made them. */
async function virtfns(host: Host, pf: string, count: number): Promise<string[]> {
  const found = await Promise.all(
    Array.from({ length: count }, (_, n) => host.files.link(`/sys/bus/pci/devices/${pf}/virtfn${n}`)),
  );
  return found.flatMap((to) => (to === undefined ? [] : [baseName(to)]));
}

function numvfs(pf: string): string {
  return `/sys/bus/pci/devices/${pf}/sriov_numvfs`;
}

async function readCount(host: Host, pf: string): Promise<number> {
  const numVFs = (await readSriov(host, pf))?.numVFs;
  if (numVFs === undefined)
    throw new StepError(`${numvfs(pf)} cannot be read: the PF is gone or a change of its VFs is under way`);
  return numVFs;
}
