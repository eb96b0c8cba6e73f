import { judgeAssignment } from '../check/assignable.ts';
import type { Finding } from '../check/check.ts';
import { countRefused } from '../check/sriov.ts';
import type { PciFunction } from '../host/functions.ts';
import { functionOf, type Picture } from '../host/picture.ts';
import { formatBdf, parseBdf, vfAddresses } from '../pci/index.ts';

/** How the wanted VFs of one PF are got. */
export type VfChoice =
  /** `create` is the new NumVFs, absent when existing VFs serve. `vfs` are numbers and addresses, one per wanted VF. */
  { create?: number; vfs: { vf: number; bdf: string }[] } | { refused: Finding };

/**
 * Chooses VFs of a PF that has SR-IOV. NumVFs changes only from 0, so where VFs exist only free ones of them can be taken.
 * Addresses of VFs to come follow from First VF Offset and VF Stride (PCIe 6.0 §9.3.3.9, §9.3.3.10); both may change with
 * NumVFs, so apply compares them with what appeared.
 * @param claimed functions that other applied VMs have, with the names of those
 */
export function chooseVfs(
  picture: Picture,
  pf: PciFunction,
  wanted: number,
  claimed: Readonly<Record<string, string>> = {},
): VfChoice {
  const { sriov } = pf;
  const at = `/sys/bus/pci/devices/${pf.bdf}`;
  const refuse = (id: string, because: string, seen: Finding['seen'], fix: string[]): VfChoice => ({
    refused: { id, asks: 'Can that many VFs be had?', bdf: pf.bdf, is: 'fail', because, seen, fix },
  });
  if (sriov === undefined) throw new Error(`${pf.bdf} has no SR-IOV`);
  const total = { where: `${at}/sriov_totalvfs`, text: String(sriov.totalVFs) };
  const present = { where: `${at}/sriov_numvfs`, text: sriov.numVFs === undefined ? 'no answer in time' : String(sriov.numVFs) };
  const refused = countRefused(pf, wanted);
  if (refused !== undefined) return { refused: { asks: 'Can that many VFs be had?', bdf: pf.bdf, ...refused } };
  const existing = sriov.numVFs ?? 0;
  if (existing === 0) {
    const address = parseBdf(pf.bdf);
    if (address === undefined) throw new Error(`${pf.bdf} is no address`);
    const layout = { FirstVFOffset: sriov.firstVFOffset, VFStride: sriov.vfStride };
    return { create: wanted, vfs: vfAddresses(address, layout, wanted).map((bdf, vf) => ({ vf, bdf: formatBdf(bdf) })) };
  }
  const candidates = pf.virtfns.map((bdf, vf) => ({ bdf, vf, in: inUse(picture, bdf) ?? givenTo(claimed[bdf]) }));
  const free = candidates.filter((candidate) => candidate.in === undefined);
  if (free.length >= wanted) return { vfs: free.slice(0, wanted).map(({ bdf, vf }) => ({ bdf, vf })) };
  const busy = candidates.filter((candidate) => candidate.in !== undefined);
  return refuse(
    'sriov/numvfs',
    `${count(wanted, 'is', 'are')} wanted; ${count(existing, 'exists', 'exist')} and ${free.length} of them ${free.length === 1 ? 'is' : 'are'} free, and the kernel changes NumVFs only through 0, which would take the VFs from their users`,
    [present, total, ...busy.map(({ bdf, in: why }) => ({ where: bdf, text: why ?? '' }))],
    ['free VFs that are in use', `when none of them is needed: echo 0 > ${at}/sriov_numvfs, then plan again`],
  );
}

/** `1 VF is`, `2 VFs are`. */
function count(number: number, one: string, more: string): string {
  return number === 1 ? `1 VF ${one}` : `${number} VFs ${more}`;
}

/** Why a VF cannot be taken, or undefined when it is free. */
function inUse(picture: Picture, bdf: string): string | undefined {
  const vf = functionOf(picture, bdf);
  if (vf === undefined) return 'could not be read';
  const up = vf.interfaces.find((name) => picture.links.find((link) => link.name === name)?.up);
  if (up !== undefined) return `its interface ${up} is up on the host`;
  return judgeAssignment(picture, bdf).find((finding) => finding.is === 'fail')?.because;
}

function givenTo(name: string | undefined): string | undefined {
  return name === undefined ? undefined : `it is given to ${name}, which is applied`;
}
