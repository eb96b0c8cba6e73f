import type { Host } from '../host/host.ts';
import { readSystem } from '../host/system.ts';
import { findGuest } from '../qemu/index.ts';
import { readJournal, stateOf } from './journal.ts';

/** One VM that has a journal. */
export interface AppliedVm {
  name: string;
  /** `applied`; `begun`: apply did not finish; `stale`: the host was restarted since, so nothing of it is set any more. */
  state: 'applied' | 'begun' | 'stale';
  /** Process of its QEMU, when it runs. */
  pid?: number;
  devices: string[];
  /** Milliseconds since the epoch. */
  since: number;
}

/** Every VM that was applied or begun and not reverted. @throws JournalError, HostError */
export async function listApplied(host: Host, stateFolder: string): Promise<AppliedVm[]> {
  const { bootId } = await readSystem(host);
  const found: AppliedVm[] = [];
  for (const name of (await host.files.list(stateFolder)) ?? []) {
    const journal = await readJournal(host, stateOf(stateFolder, name).journal);
    if (journal === undefined) continue;
    const { head } = journal;
    const start = head.steps.find((step) => step.do === 'start-guest');
    const guest = start?.do === 'start-guest' ? await findGuest(host, start.guest.uuid) : undefined;
    found.push({
      name,
      state: head.bootId !== bootId ? 'stale' : journal.applied ? 'applied' : 'begun',
      ...(guest === undefined ? {} : { pid: guest.pid }),
      devices: head.devices.map((device) => device.bdf),
      since: head.at,
    });
  }
  return found;
}
