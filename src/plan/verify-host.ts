import type { Host } from '../host/host.ts';
import { driverOf, groupOf } from '../host/iommu.ts';
import { baseName } from '../host/parse.ts';
import { vfioGroupsOf } from '../host/usage.ts';
import { findGuest } from '../qemu/index.ts';
import { parseDmarFault } from './dmar-fault.ts';
import type { JournalDevice } from './journal.ts';
import type { Proof } from './proof.ts';
import type { GuestToStart } from './step.ts';

/** The function is with vfio-pci, in a group, and that group is open in the guest's QEMU. */
export async function proveOwned(host: Host, device: JournalDevice, guest: GuestToStart): Promise<Proof[]> {
  const { bdf } = device;
  const driver = await driverOf(host, bdf);
  const group = await groupOf(host, bdf);
  const bound: Proof = {
    level: 'host',
    bdf,
    claim: 'vfio-pci drives it, and it is in an IOMMU group',
    is: driver === 'vfio-pci' && group !== undefined ? 'proved' : 'disproved',
    because: `driver ${driver ?? 'none'}, group ${group ?? 'none'}`,
    seen: [
      { where: `/sys/bus/pci/devices/${bdf}/driver`, text: driver ?? 'absent' },
      { where: `/sys/bus/pci/devices/${bdf}/iommu_group`, text: group === undefined ? 'absent' : String(group) },
    ],
  };
  const running = await findGuest(host, guest.uuid);
  const open = running === undefined ? [] : await vfioGroupsOf(host, running.pid);
  const opened: Proof = {
    level: 'host',
    bdf,
    claim: 'the QEMU of this guest has it open',
    is: running !== undefined && group !== undefined && open.includes(group) ? 'proved' : 'disproved',
    because:
      running === undefined
        ? 'the guest does not run'
        : `process ${running.pid} has ${open.map((one) => `/dev/vfio/${one}`).join(', ') || 'no VFIO group'} open`,
    seen:
      running === undefined ? [] : [{ where: `/proc/${running.pid}/fd`, text: open.map((one) => `/dev/vfio/${one}`).join(' ') }],
  };
  return [bound, opened];
}

/** Interrupts of one function that the host delivered to KVM or QEMU: `vfio-msi[x][N](BDF)` lines of /proc/interrupts, over all CPUs. */
export function countInterrupts(interrupts: string, bdf: string): { count: number; lines: string[] } {
  const lines = interrupts.split('\n').filter((line) => /vfio-(msix?|intx)/.test(line) && line.includes(`(${bdf})`));
  const count = lines.reduce((sum, line) => sum + countsOf(line), 0);
  return { count, lines: lines.map((line) => line.trim().replace(/\s+/g, ' ')) };
}

/** The counters of all CPUs: the numbers between the interrupt's own number and the name of its chip. */
function countsOf(line: string): number {
  const words = line.trim().split(/\s+/).slice(1);
  const end = words.findIndex((word) => !/^\d+$/.test(word));
  return words.slice(0, end).reduce((sum, word) => sum + Number(word), 0);
}

export async function readInterrupts(host: Host): Promise<string> {
  return (await host.files.readText('/proc/interrupts')) ?? '';
}

/** Whether interrupts came between two readings of /proc/interrupts, one before and one after the guest used its devices. */
export function proveInterrupts(before: string, after: string, bdf: string): Proof {
  const first = countInterrupts(before, bdf);
  const second = countInterrupts(after, bdf);
  const rose = second.count > first.count;
  return {
    level: 'host',
    bdf,
    claim: 'its interrupts arrive',
    is: rose ? 'proved' : second.lines.length === 0 ? 'disproved' : 'unknown',
    because:
      second.lines.length === 0
        ? 'it has no vfio-msi line in /proc/interrupts: the guest enabled no interrupt of it'
        : `${first.count} before and ${second.count} after the guest used it`,
    seen: second.lines.map((text) => ({ where: '/proc/interrupts', text })),
  };
}

/** No DMA remapping fault of the function since the guest was started. */
export async function proveNoFault(host: Host, bdf: string, since: number | undefined): Promise<Proof> {
  const proof = { level: 'host', bdf, claim: 'the remapping unit reports no fault of it' } as const;
  const log = await host.files.kernelLog();
  const unknown = (because: string): Proof => ({ ...proof, is: 'unknown', because, seen: [] });
  if (log === undefined || since === undefined) return unknown('the kernel log may not be read');
  const unit = baseName((await host.files.link(`/sys/bus/pci/devices/${bdf}/iommu`)) ?? 'no unit');
  if (!unit.startsWith('dmar')) return unknown(`the faults of ${unit} are not understood: only those of VT-d are`);
  if (log[0] !== undefined && log[0].at > since)
    return unknown('the kernel log no longer reaches back to the start of the guest');
  // The kernel prints no segment: faults of the same address in another segment are counted as well.
  const requester = bdf.slice(bdf.indexOf(':') + 1);
  const faults = log.filter((line) => line.at > since && parseDmarFault(line)?.fault.requester === requester);
  return {
    ...proof,
    is: faults.length === 0 ? 'proved' : 'disproved',
    because:
      faults.length === 0 ? 'no fault line since the guest was started' : `${faults.length} faults since the guest was started`,
    seen: faults.map((line) => ({ where: 'kernel log', text: line.text })),
  };
}
