import { type Host, HostError, type KernelLine } from '../../host/host.ts';
import { groupOf } from '../../host/iommu.ts';
import { matchDmarFault } from '../dmar-fault.ts';
import type { Proof } from '../proof.ts';
import { type NvmeProof, proveNvme } from '../prove-nvme.ts';
import { StepError, type StepKind, type StepOf } from '../step.ts';

type ProveNvme = StepOf<'prove-nvme'>;

/** Milliseconds that the kernel gets to write a fault into its log. */
const PATIENCE = 2000;

/** What was seen, as it is kept in a file until verify tells it. */
interface Seen {
  bdf: string;
  proof: NvmeProof;
  /** The kernel's line about the blocked DMA. */
  fault?: KernelLine;
  logReadable: boolean;
}

export const proveNvmeStep: StepKind<ProveNvme, { logUntil: number }> = {
  title: (step) => `prove ${step.bdf} by VFIO: Identify, its interrupt, and a blocked DMA`,
  changes: () => [],
  async observe(host) {
    return { logUntil: (await host.files.kernelLog())?.at(-1)?.at ?? 0 };
  },
  async run(host, step, cx) {
    const since = (await host.files.kernelLog())?.at(-1)?.at ?? 0;
    const group = await groupOf(host, step.bdf);
    if (group === undefined) throw new StepError(`${step.bdf} is in no IOMMU group`);
    const device = await host.vfio.open(step.bdf, group);
    const proof = await proveNvme(device, host.clock);
    if (proof.controller === undefined)
      throw new StepError(
        `${step.bdf} did not answer Identify by DMA (${proof.mapped.status ?? 'no completion'}): a guest could not use it either`,
      );
    if (proof.unmapped?.written)
      throw new StepError(
        `${step.bdf} wrote to IOVA 0x${proof.iova.toString(16)} although it was unmapped: the IOMMU does not contain it`,
      );
    const { fault, readable } = await waitForFault(host, step.bdf, proof.iova, since);
    const seen: Seen = { bdf: step.bdf, proof, logReadable: readable, ...(fault === undefined ? {} : { fault }) };
    await host.files.replace(step.file, JSON.stringify(seen));
    await cx.reached(`${step.bdf} proved`);
  },
  // VFIO resets a function when it is closed; nothing else was changed.
  restore: async () => undefined,
};

async function waitForFault(
  host: Host,
  bdf: string,
  iova: number,
  since: number,
): Promise<{ fault?: KernelLine; readable: boolean }> {
  for (const deadline = host.clock.now() + PATIENCE; ; ) {
    const log = await host.files.kernelLog();
    if (log === undefined) return { readable: false };
    const fault = matchDmarFault(
      log.filter((line) => line.at > since),
      { bdf, iova },
    );
    if (fault !== undefined) return { fault: fault.line, readable: true };
    if (host.clock.now() >= deadline) return { readable: true };
    await host.clock.sleep(50);
  }
}

/** What the step saw, as claims. @throws HostError when the file is there and is damaged */
export async function provedBefore(host: Host, file: string | undefined): Promise<Proof[]> {
  if (file === undefined) return [];
  const text = await host.files.readText(file);
  if (text === undefined) return [];
  let seen: Seen;
  try {
    seen = JSON.parse(text) as Seen;
  } catch {
    throw new HostError(file, 'expected JSON: the proof is damaged');
  }
  const { bdf, proof, fault } = seen;
  const { controller, mapped, unmapped } = proof;
  const iova = `IOVA 0x${proof.iova.toString(16)}`;
  return [
    {
      level: 'vfio',
      bdf,
      claim: 'it answers Identify by DMA',
      is: controller === undefined ? 'disproved' : 'proved',
      because: `the answer was in memory after ${mapped.milliseconds.toFixed(1)} ms`,
      seen:
        controller === undefined
          ? []
          : [
              {
                where: `memory at ${iova}`,
                text: `${controller.model}, serial ${controller.serial}, controller ${controller.cntlid}, NVMe ${controller.version}`,
              },
            ],
    },
    {
      level: 'vfio',
      bdf,
      claim: 'it raises its MSI-X interrupt',
      is: mapped.interrupts > 0 ? 'proved' : 'disproved',
      because: `${mapped.interrupts} event${mapped.interrupts === 1 ? '' : 's'} on the eventfd of vector 0`,
      seen: [],
    },
    {
      level: 'vfio',
      bdf,
      claim: 'a DMA to an unmapped address is blocked and reported',
      is: unmapped === undefined || unmapped.written ? 'disproved' : fault === undefined ? 'unknown' : 'proved',
      because: blocked(seen),
      seen: fault === undefined ? [] : [{ where: 'kernel log', text: fault.text }],
    },
  ];
}

function blocked({ proof: { unmapped }, fault, logReadable }: Seen): string {
  if (unmapped === undefined) return 'it was not tried: Identify did not succeed before';
  if (unmapped.written) return 'the memory was written all the same';
  if (fault !== undefined) return 'the memory stayed as it was, and the remapping unit reported the fault';
  return logReadable
    ? 'the memory stayed as it was, but the kernel logged no fault (it limits their rate)'
    : 'the memory stayed as it was; the kernel log may not be read';
}
