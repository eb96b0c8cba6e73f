import type { PciFunction } from '../../host/functions.ts';
import { functionOf, groupNumbered, OPEN_FILES, type Picture } from '../../host/picture.ts';
import { USAGE } from '../../host/usage.ts';
import type { Verdict } from '../check.ts';
import { listed, notApplicable, ofEndpoints, pass, unknown, withheld } from '../facts.ts';
import { indexOf, once } from '../index-of.ts';
import type { Problem } from '../problem.ts';
import { isVfioDriver } from '../rules/group-viable.ts';

export const vfioGroupBusy: Problem = {
  id: 'vfio-group-busy',
  title: 'The group or device is already opened by another process',
  category: 'bind',
  severity: 'blocker',
  at: 'any',
  says: [
    {
      in: 'qemu',
      re: /(Could not|failed to) open '?\/dev\/vfio\/\d+'?: Device or resource busy/,
      example: "Could not open '/dev/vfio/17': Device or resource busy",
      proof: 'rep',
    },
    {
      in: 'dpdk',
      re: /Cannot open \/dev\/vfio\/\d+: Device or resource busy/,
      example: 'EAL: Cannot open /dev/vfio/151: Device or resource busy',
      proof: 'rep',
    },
    {
      in: 'kernel',
      re: /Device is currently in use, task "[^"]*" \(\d+\) ?blocked until device is released/,
      example: 'vfio-pci 0000:01:00.0: Device is currently in use, task "bash" (4711) blocked until device is released',
      proof: 'src',
    },
    {
      in: 'libvirt',
      re: /PCI device [0-9a-f:.]+ is in use by/,
      example: 'Requested operation is not valid: PCI device 0000:01:00.0 is in use by driver QEMU, domain other',
      proof: 'rep',
    },
    {
      in: 'qemu',
      re: /([Cc]ould not|[Ff]ailed to) open '?\/dev\/vfio\/devices\/vfio\d+'?: Device or resource busy/,
      example: "Could not open '/dev/vfio/devices/vfio0': Device or resource busy",
      proof: 'rep',
    },
  ],
  why: 'One opener per group (legacy) and per device; a stale QEMU, a second VM or another SR-IOV pool has it.',
  see: [{ read: '/proc/*/fd links to /dev/vfio/<group> and /dev/vfio/devices/vfioN', when: 'any', sure: 'certain' }],
  fix: ['name the process and the VM', 'stop it', 'never kill by name'],
  beware: 'An unbind of a device in use blocks uninterruptibly; refuse instead of trying.',
  sources: ['gh:VoltCyclone/PCILeechFWGenerator#79', 'gh:FDio/vpp#3448', 'linux:drivers/vfio/vfio_main.c'],
  rules: [{ about: 'function', asks: 'Has no process its group open?', run: ofEndpoints(closed) }],
};

/** Groups of which a VFIO driver has a member: others have no node that could be open. */
const owned = once(
  (picture) =>
    new Set(
      picture.groups.flatMap(({ number, devices }) =>
        devices.some((bdf) => isVfioDriver(functionOf(picture, bdf)?.driver ?? '')) ? [number] : [],
      ),
    ),
);

function closed(picture: Picture, found: PciFunction): Verdict {
  const { group } = found;
  if (group === undefined) return notApplicable('it is in no group');
  const users = (indexOf(picture).usesOfGroup.get(group) ?? []).filter(({ kind }) => kind === 'vfio');
  if (users.length > 0)
    return {
      is: 'fail',
      because: `group ${group} is open in ${listed([...new Set(users.map(({ what }) => what))])}; to unbind a member would wait for that`,
      seen: users.slice(0, 8).map(({ where, what }) => ({ where, text: what })),
      fix: [`stop ${listed([...new Set(users.map(({ what }) => what))])} in its own way`, 'take another function'],
    };
  if (groupNumbered(picture, group) !== undefined && !owned(picture).has(group))
    return pass(`no VFIO driver has a member of group ${group}, so there is nothing to open`);
  const all = withheld(picture, USAGE);
  if (all !== undefined) return unknown(`who has files open could not be read: ${all}`);
  const others = withheld(picture, OPEN_FILES);
  if (others !== undefined) return unknown(`whether a process has group ${group} open is not known: ${others}`);
  return pass(`no process has group ${group} open`, { where: '/proc/*/fd', text: `no /dev/vfio/${group}` });
}
