import type { Finding } from '../check/check.ts';
import type { PciFunction } from '../host/functions.ts';
import type { Draft } from './draft.ts';
import type { SourcePlace, VfSpec } from './spec.ts';

/** Least that a secondary controller works with: its admin queue and one more, one interrupt vector. NVMe Base 2.0 §8.26. */
const LEAST = { vq: 2, vi: 1 };

/** Queues and interrupts for the secondary controller that a VF is. What one VF takes is not free for the next. */
export function planNvmeResources(
  pf: PciFunction,
  vf: number,
  bdf: string,
  wish: { queues: VfSpec['queues']; interrupts: VfSpec['interrupts'] },
  at: SourcePlace,
  draft: Draft,
): void {
  const [controller] = pf.nvme;
  const state = controller === undefined ? undefined : draft.picture.nvme[controller];
  const refuse = (is: Finding['is'], because: string, fix: string[]): void => {
    draft.refusals.push({
      id: 'nvme/resources',
      asks: 'Can the VF get queues and interrupts?',
      bdf: pf.bdf,
      at,
      is,
      because,
      seen: [],
      fix,
    });
  };
  if (controller === undefined || state === undefined) {
    const unread = draft.picture.unread.find(({ what }) => what === `/dev/${controller}`);
    if (unread !== undefined)
      return refuse('unknown', `its secondary controllers could not be read: ${unread.because}`, ['run as root']);
    // Without Virtualization Management a VF comes with resources of its own, and nobody can give it others.
    if (wish.queues !== undefined || wish.interrupts !== undefined)
      refuse('fail', 'queues and interrupts: the controller has no Virtualization Management, its VFs have what they have', []);
    return;
  }
  const secondary = state.secondaries.find((candidate) => candidate.vf === vf);
  if (secondary === undefined) return refuse('fail', `its list of secondary controllers has none for VF ${vf}`, []);
  const share = (total: number) => Math.floor(total / Math.max(1, state.secondaries.length));
  // What the spec leaves out stays as the VF has it, when it can work with that.
  const keeps = secondary.online && secondary.vq >= LEAST.vq && secondary.vi >= LEAST.vi;
  const vq = wish.queues ?? (keeps ? secondary.vq : Math.min(state.most.vq, Math.max(LEAST.vq, share(state.flexible.vq))));
  const vi = wish.interrupts ?? (keeps ? secondary.vi : Math.min(state.most.vi, Math.max(LEAST.vi, share(state.flexible.vi))));
  if (secondary.online && secondary.vq === vq && secondary.vi === vi) return;
  if (vq > state.most.vq || vi > state.most.vi)
    return refuse(
      'fail',
      `it wants ${vq} queues and ${vi} interrupts, and one VF may have ${state.most.vq} and ${state.most.vi}`,
      ['ask for fewer with vf: { queues, interrupts }'],
    );
  const free = {
    vq: state.flexible.vq - total(state.secondaries, 'vq') + secondary.vq,
    vi: state.flexible.vi - total(state.secondaries, 'vi') + secondary.vi,
  };
  if (vq > free.vq || vi > free.vi)
    return refuse('fail', `it wants ${vq} queues and ${vi} interrupts, and ${free.vq} and ${free.vi} flexible ones are free`, [
      'ask for fewer with vf: { queues, interrupts }',
    ]);
  // What this plan takes is not free for the next VF of it.
  draft.picture = {
    ...draft.picture,
    nvme: {
      ...draft.picture.nvme,
      [controller]: { ...state, secondaries: state.secondaries.map((one) => (one === secondary ? { ...one, vq, vi } : one)) },
    },
  };
  // Only when no host driver has it any more: going offline would break it, and revert would hand it back broken.
  draft.afterBind.push({
    do: 'nvme-resources',
    controller: `/dev/${controller}`,
    bdf,
    cntlid: secondary.scid,
    vq,
    vi,
    was: { online: secondary.online, vq: secondary.vq, vi: secondary.vi },
    why: 'a secondary controller works only online, with queues and an interrupt',
  });
}

/** A namespace that may be attached to several controllers is within reach of a VF: the host must not be using it. */
export function refuseSharedNamespaces(pf: PciFunction, at: SourcePlace, draft: Draft): void {
  const namespaces = pf.nvme.flatMap((controller) => draft.picture.nvme[controller]?.namespaces ?? []);
  for (const { nsid, device, shared } of namespaces) {
    const uses = draft.picture.usage.filter((usage) => usage.bdf === pf.bdf && isOn(device, usage.device));
    if (!shared || uses.length === 0) continue;
    draft.refusals.push({
      id: 'nvme/namespace',
      asks: 'Would the guest reach what the host uses?',
      bdf: pf.bdf,
      at,
      is: 'fail',
      because: `namespace ${nsid} (${device}) may be attached to its VFs as well, and the host uses it`,
      seen: uses.map(({ what, where }) => ({ where, text: what })),
      fix: ['move what the host needs to a namespace or a disk of its own'],
    });
  }
}

/** A disk, or a partition of it: `/dev/nvme0n1` and `/dev/nvme0n1p2`. */
function isOn(disk: string, device: string | undefined): boolean {
  return device === disk || (device?.startsWith(`${disk}p`) ?? false);
}

function total(secondaries: readonly { vq: number; vi: number }[], which: 'vq' | 'vi'): number {
  return secondaries.reduce((sum, one) => sum + one[which], 0);
}
