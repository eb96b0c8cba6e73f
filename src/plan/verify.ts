import { type Host, HostError } from '../host/host.ts';
import { connectAgent, type GuestAgent, QmpError } from '../qemu/index.ts';
import { type Journal, type JournalDevice, readJournal, stateOf } from './journal.ts';
import { judge, type Proof, type Verification } from './proof.ts';
import type { GuestToStart, StepContext } from './step.ts';
import { provedBefore } from './steps/prove-nvme.ts';
import type { BeforeGuest } from './steps/start-guest.ts';
import { lookIntoGuest, proveGuestDriver, proveGuestGroups, provePackets, proveSector } from './verify-guest.ts';
import { proveInterrupts, proveNoFault, proveOwned, readInterrupts } from './verify-host.ts';

/**
 * Proves that the devices of an applied VM work: what the host shows, what Sluice's own VFIO calls saw before the guest had
 * them, and what the guest does with them. What cannot be looked at is `unknown`, never assumed.
 *
 * @returns undefined when no VM of that name is applied
 * @throws HostError when the host cannot be read
 */
export async function verify(
  host: Host,
  stateFolder: string,
  name: string,
  cx: Pick<StepContext, 'tell'>,
): Promise<Verification | undefined> {
  const journal = await readJournal(host, stateOf(stateFolder, name).journal);
  if (journal === undefined) return undefined;
  const index = journal.head.steps.findIndex((step) => step.do === 'start-guest');
  const step = journal.head.steps[index];
  if (step?.do !== 'start-guest') return undefined;
  const before = (journal.begun.get(index) ?? {}) as BeforeGuest;
  const { devices } = journal.head;
  const proofs: Proof[] = [];
  for (const device of devices) proofs.push(...(await proveOwned(host, device, step.guest)));
  for (const device of devices) proofs.push(...(await provedBefore(host, journalFile(journal, device))));
  const idle = await readInterrupts(host);
  cx.tell('asking the guest');
  proofs.push(...(await askGuest(host, step.guest, devices, cx)));
  const after = await readInterrupts(host);
  for (const device of devices)
    proofs.push(proveInterrupts(idle, after, device.bdf), await proveNoFault(host, device.bdf, before.logUntil));
  return { schema: 'sluice/verify/1', name, is: judge(proofs), proofs };
}

/** Where the proof that was made before the guest had the device is kept; undefined when none was planned. */
function journalFile(journal: Journal, device: JournalDevice): string | undefined {
  const step = journal.head.steps.find((candidate) => candidate.do === 'prove-nvme' && candidate.bdf === device.bdf);
  return step?.do === 'prove-nvme' ? step.file : undefined;
}

async function askGuest(
  host: Host,
  guest: GuestToStart,
  devices: readonly JournalDevice[],
  cx: Pick<StepContext, 'tell'>,
): Promise<Proof[]> {
  let agent: GuestAgent;
  try {
    agent = await connectAgent(host, guest.files.agent, 5000);
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    const because = guest.agent
      ? `its agent does not answer: ${error.message}`
      : 'the spec says that it has no agent, so nobody could be asked';
    return devices.map((device) => ({
      level: 'guest',
      bdf: device.bdf,
      claim: 'the guest uses it',
      is: 'unknown',
      because,
      seen: [],
    }));
  }
  const proofs: Proof[] = [];
  try {
    const view = await lookIntoGuest(agent);
    const viommu = guest.argv.some((word) => /^(intel-iommu|virtio-iommu-pci)\b/.test(word));
    for (const device of devices) {
      proofs.push(proveGuestDriver(view, device));
      if (viommu) proofs.push(proveGuestGroups(view, device));
      cx.tell(`the guest uses ${device.bdf}`);
      if (device.kind === 'nvme') proofs.push(await proveSector(host, agent, view, device));
      if (device.kind === 'net') proofs.push(await provePackets(host, agent, view, device));
    }
  } catch (error) {
    if (!(error instanceof HostError || error instanceof QmpError)) throw error;
    proofs.push({ level: 'guest', claim: 'the guest answers', is: 'disproved', because: error.message, seen: [] });
  } finally {
    agent.close();
  }
  return proofs;
}
