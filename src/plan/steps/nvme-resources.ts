import type { Host } from '../../host/host.ts';
import { manageSecondary, readSecondaries } from '../../host/nvme.ts';
import { type NvmeResources, type StepContext, StepError, type StepKind, type StepOf } from '../step.ts';

type Resources = StepOf<'nvme-resources'>;

/**
 * Gives queues and interrupts to a secondary controller and brings it online. Resources change only while it is offline,
 * and take effect with a reset of its function. NVMe 1.4 §8.5.
 */
export const nvmeResources: StepKind<Resources, NvmeResources> = {
  title: (step) => `give ${step.bdf} ${step.vq} queues and ${step.vi} interrupt${step.vi === 1 ? '' : 's'}, and bring it online`,
  changes: (step) => [
    { where: `${step.controller} secondary controller ${step.cntlid} VQ`, from: String(step.was.vq), to: String(step.vq) },
    { where: `${step.controller} secondary controller ${step.cntlid} VI`, from: String(step.was.vi), to: String(step.vi) },
    { where: `/sys/bus/pci/devices/${step.bdf}/reset`, from: '-', to: '1' },
    {
      where: `${step.controller} secondary controller ${step.cntlid}`,
      from: step.was.online ? 'online' : 'offline',
      to: 'online',
    },
  ],
  async observe(host, step) {
    const now = await state(host, step);
    if (now === undefined) throw new StepError(`${step.controller} has no secondary controller ${step.cntlid}`);
    return now;
  },
  run: (host, step, cx) => bring(host, step, { online: true, vq: step.vq, vi: step.vi }, cx),
  async restore(host, step, old, cx) {
    const now = await state(host, step);
    if (now === undefined || (now.online === old.online && now.vq === old.vq && now.vi === old.vi)) return undefined;
    await bring(host, step, old, cx);
    return `${step.bdf}: ${show(now)} -> ${show(old)}`;
  },
};

/** From any state, also half way. */
async function bring(host: Host, step: Resources, to: NvmeResources, cx: StepContext): Promise<void> {
  const { controller, cntlid, bdf } = step;
  await manageSecondary(host, controller, 'secondaryOffline', cntlid);
  await cx.reached(`secondary controller ${cntlid} offline`);
  await manageSecondary(host, controller, 'secondaryAssign', cntlid, { type: 'VQ', count: to.vq });
  await cx.reached(`VQ of secondary controller ${cntlid} assigned`);
  await manageSecondary(host, controller, 'secondaryAssign', cntlid, { type: 'VI', count: to.vi });
  await cx.reached(`VI of secondary controller ${cntlid} assigned`);
  if (!to.online) return;
  await host.files.write(`/sys/bus/pci/devices/${bdf}/reset`, '1\n');
  await cx.reached(`${bdf} reset`);
  await manageSecondary(host, controller, 'secondaryOnline', cntlid);
  await cx.reached(`secondary controller ${cntlid} online`);
}

async function state(host: Host, step: Resources): Promise<NvmeResources | undefined> {
  const found = (await readSecondaries(host, step.controller)).find((one) => one.scid === step.cntlid);
  return found === undefined ? undefined : { online: found.online, vq: found.vq, vi: found.vi };
}

function show({ online, vq, vi }: NvmeResources): string {
  return `${online ? 'online' : 'offline'}, ${vq} queues, ${vi} interrupts`;
}
