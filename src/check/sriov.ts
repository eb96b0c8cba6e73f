import type { PciFunction } from '../host/functions.ts';
import type { Link } from '../host/host.ts';
import { functionOf, linkNamed, type Picture } from '../host/picture.ts';
import { formatBdf, lastVfBus, parseBdf } from '../pci/index.ts';
import type { Evidence, Verdict } from './check.ts';
import { at, unknown, withheld } from './facts.ts';
import { configOf, indexOf } from './index-of.ts';

/**
 * Drivers of mainline Linux that make VFs when `sriov_numvfs` is written (`sriov_configure` of their pci_driver). A driver
 * that is not here may do it all the same. vfio-pci does when told by enable_sriov.
 */
const MAKES_VFS = new Set(
  (
    'bnx2x bnxt_en LiquidIO cxgb4 csiostor enic be2net fsl_enetc fm10k hinic hns3 i40e ice idpf igb ixgbe mlx4_core mlx5_core nfp ' +
    'rvu_af rvu_nicpf rvu_cptpf octeontx-cpt octeon_ep ionic pds_core qede qlcnic sfc sfc_ef100 c3xxx c6xx dh895xcc 4xxx 420xx ' +
    'hisi_sec2 hisi_hpre hisi_zip n5pf nvme pci-pf-stub dfl-pci genwqe virtio-pci xe'
  ).split(' '),
);

/** Drivers that give a function to user space and make no VFs. */
const HANDS_ON = new Set(['pci-stub', 'uio_pci_generic', 'igb_uio']);

/**
 * Whether writing `sriov_numvfs` reaches a driver that makes VFs. The kernel answers ENOENT where it does not.
 * Source: Linux drivers/pci/iov.c sriov_numvfs_store().
 */
export function makesVfs(picture: Picture, pf: PciFunction): Verdict {
  const { driver } = pf;
  const seen: Evidence[] = [{ where: at(pf, 'driver'), text: driver ?? 'absent' }];
  if (driver === undefined)
    return {
      is: 'fail',
      because:
        'its PF has no driver, and only a driver creates VFs: a write to sriov_numvfs gives ENOENT, as if the file were not there',
      seen,
      fix: ['bind the PF to its own driver first', 'pci-pf-stub, for a device without a driver for its PF'],
    };
  if (driver === 'vfio-pci') {
    const option = picture.parameters.vfio_pci?.enable_sriov;
    if (option !== undefined) seen.push({ where: '/sys/module/vfio_pci/parameters/enable_sriov', text: option });
    if (option === 'Y')
      return { is: 'pass', because: 'its PF is on vfio-pci, which may create VFs here; each needs the VF token', seen };
  }
  if (driver === 'vfio-pci' || HANDS_ON.has(driver))
    return {
      is: 'fail',
      because: `its PF is bound to ${driver}: its VFs are not for others without a word from the process that owns it, and a write to sriov_numvfs gives ENOENT`,
      seen,
      fix: ['bind the PF to its own driver first'],
    };
  if (MAKES_VFS.has(driver)) return { is: 'pass', because: `${driver} makes VFs when sriov_numvfs is written`, seen };
  return unknown(`whether ${driver} makes VFs when sriov_numvfs is written is not known`, ...seen);
}

/** What keeps that many VFs of a PF from being had, whatever uses them: nobody can tell, or TotalVFs. Undefined when nothing. */
export function countRefused({ bdf, sriov }: PciFunction, wanted: number): (Verdict & { id: string }) | undefined {
  if (sriov === undefined) return undefined;
  const path = `/sys/bus/pci/devices/${bdf}`;
  const present = {
    where: `${path}/sriov_numvfs`,
    text: sriov.numVFs === undefined ? 'no answer in time' : String(sriov.numVFs),
  };
  const total = { where: `${path}/sriov_totalvfs`, text: String(sriov.totalVFs) };
  if (sriov.numVFs === undefined)
    return {
      id: 'sriov/numvfs',
      is: 'fail',
      because: 'its number of VFs could not be read: a change is under way and waits for a VF in use',
      seen: [present],
      fix: ['stop the guest that holds a VF of it'],
    };
  if (wanted > sriov.totalVFs)
    return {
      id: 'sriov/count',
      is: 'fail',
      because: `${wanted} VFs are wanted and TotalVFs is ${sriov.totalVFs}`,
      seen: [total, present],
      fix: [`ask for at most ${sriov.totalVFs}`],
    };
  return undefined;
}

/**
 * How many VFs have a bus number that the bridge above passes down, with the offset and stride of now.
 * `last` is the highest bus below that bridge; undefined on a root bus, whose end sysfs does not show.
 */
export function vfsOnBuses(
  picture: Picture,
  pf: PciFunction,
): { fit: number; bus: number; last: number | undefined } | undefined {
  const address = parseBdf(pf.bdf);
  const { sriov } = pf;
  if (address === undefined || sriov === undefined) return undefined;
  const layout = { FirstVFOffset: sriov.firstVFOffset, VFStride: sriov.vfStride };
  const above = bridgeAbove(picture, pf);
  const last = above === undefined ? undefined : configOf(above)?.bridge?.subordinate;
  const bus = lastVfBus(address, layout, sriov.totalVFs);
  const limit = last ?? address.bus;
  let fit = sriov.totalVFs;
  // RIDs rise with the number, so the first that fits from above is the answer.
  if (bus > limit) {
    const room = limit * 256 + 255 - (address.bus * 256 + address.device * 8 + address.function) - sriov.firstVFOffset;
    fit = room < 0 ? 0 : sriov.vfStride === 0 ? 1 : Math.min(fit, Math.floor(room / sriov.vfStride) + 1);
  }
  return { fit, bus, last };
}

/** The bridge or port that a function is directly behind; undefined on a root bus. */
export function bridgeAbove(picture: Picture, { path }: PciFunction): PciFunction | undefined {
  const above = path.split('/').at(-2);
  return above === undefined ? undefined : functionOf(picture, above);
}

/** Who uses VFs of a PF: programs that hold their groups, containers that have their interfaces. */
export function usersOfVfs(picture: Picture, { virtfns }: PciFunction): { bdf: string; what: string; where: string }[] {
  const { usesOfFunction, usesOfGroup } = indexOf(picture);
  return virtfns.flatMap((bdf) => {
    const group = functionOf(picture, bdf)?.group;
    const uses = [...(usesOfFunction.get(bdf) ?? []), ...(group === undefined ? [] : (usesOfGroup.get(group) ?? []))];
    return uses.map(({ what, where }) => ({ bdf, what, where }));
  });
}

/** The network interface of a PF with what it decides for its VFs; or why that is not known, or does not matter. */
export function vfSettings(picture: Picture, pf: PciFunction): { link: Link } | { verdict: Verdict } {
  const where = at(pf, 'sriov_numvfs');
  if (pf.sriov === undefined) return { verdict: { is: 'not-applicable', because: 'it is no PF', seen: [] } };
  if (pf.sriov.numVFs === 0)
    return { verdict: { is: 'not-applicable', because: 'it has no VFs now', seen: [{ where, text: '0' }] } };
  const [name] = pf.interfaces;
  if (name === undefined)
    return {
      verdict: {
        is: 'not-applicable',
        because: 'its PF has no network interface',
        seen: [{ where: at(pf, 'net'), text: 'none' }],
      },
    };
  const link = linkNamed(picture, name);
  if (link === undefined) {
    const because = withheld(picture, 'network interfaces');
    return {
      verdict: unknown(
        because === undefined
          ? `there is no interface ${name} in this network namespace`
          : `the network interfaces could not be read: ${because}`,
      ),
    };
  }
  return { link };
}

/** `0000:01:00.0` of the function that the Function Dependency Link names. Linux drivers/pci/iov.c sriov_init(). */
export function dependencyOf({ bdf }: PciFunction, link: number, integrated: boolean): string | undefined {
  const address = parseBdf(bdf);
  if (address === undefined) return undefined;
  // An integrated endpoint shares its bus with other devices: there the link is a function of its own slot.
  return formatBdf(integrated ? { ...address, function: link & 7 } : { ...address, device: link >> 3, function: link & 7 });
}
