import type { Host } from '../../host/host.ts';
import { groupOf } from '../../host/iommu.ts';
import { readVfioUsers } from '../../host/usage.ts';
import { StepError } from '../step.ts';

/**
 * The kernel lets a function go only when its last user in VFIO has closed it: an unbind, or a change of NumVFs, waits for that
 * where no signal reaches it, and so does every reader of the attribute.
 * @throws StepError when somebody has the group of one of the functions open
 */
export async function refuseOpen(host: Host, bdfs: readonly string[]): Promise<void> {
  for (const bdf of bdfs) {
    const group = await groupOf(host, bdf);
    const user = group === undefined ? undefined : (await readVfioUsers(host)).find((usage) => usage.group === group);
    if (user !== undefined) throw new StepError(`${bdf} is open in ${user.what}`, ['stop that program, then try again']);
  }
}
