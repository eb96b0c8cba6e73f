import type { Picture } from '../host/picture.ts';
import { iommuOffOption } from './cmdline.ts';
import { withheld } from './facts.ts';

export const TABLES = '/sys/firmware/acpi/tables';
export const GROUPS = '/sys/kernel/iommu_groups';

/** How far the remapping of DMA came on this host. Each member but `on` is one reason why no function has a group. */
export type IommuState =
  | { is: 'on' }
  /** The groups could not be read. */
  | { is: 'unread'; because: string }
  /** A unit is registered, and no function is in a group. */
  | { is: 'no-group' }
  /** Firmware gives a table of units, and the kernel drives none. `unreadable` says why the table itself could not be read. */
  | { is: 'kernel-off'; table: 'DMAR' | 'IVRS'; unreadable?: string; option?: string }
  /** Firmware describes a virtio-iommu, and no driver has it. */
  | { is: 'no-driver' }
  /** Whether firmware gives a table could not be read. */
  | { is: 'hidden'; tables: { what: string; because: string }[]; option?: string }
  | { is: 'no-table' };

/** Source: Linux Documentation/ABI/testing/sysfs-class-iommu; the line "DMAR: IOMMU enabled" is no proof. */
export function iommuState(picture: Picture): IommuState {
  const { units, groups, system } = picture;
  const groupsWithheld = withheld(picture, GROUPS);
  if (groups.length > 0) return { is: 'on' };
  if (groupsWithheld !== undefined) return { is: 'unread', because: groupsWithheld };
  if (units.length > 0) return { is: 'no-group' };
  const off = iommuOffOption(system.cmdline);
  const option = off === undefined ? {} : { option: off };
  for (const table of ['DMAR', 'IVRS'] as const) {
    const found = tableIs(picture, table);
    if (found.is === 'there') return { is: 'kernel-off', table, ...option };
    if (found.is === 'unreadable') return { is: 'kernel-off', table, unreadable: found.because, ...option };
  }
  const tables = (['DMAR', 'IVRS', 'VIOT'] as const).map((name) => ({ name, found: tableIs(picture, name) }));
  if (tables.some(({ found }) => found.is === 'there' || found.is === 'unreadable')) return { is: 'no-driver' };
  const hidden = tables.flatMap(({ name, found }) =>
    found.is === 'hidden' ? [{ what: `${TABLES}/${name}`, because: found.because }] : [],
  );
  if (hidden.length > 0) return { is: 'hidden', tables: hidden, ...option };
  return { is: 'no-table' };
}

/** A table of firmware. One that a user may not open is there: of an absent one the kernel says ENOENT. */
export function tableIs(
  picture: Picture,
  name: 'DMAR' | 'IVRS' | 'VIOT',
): { is: 'there' | 'absent' } | { is: 'unreadable' | 'hidden'; because: string } {
  if (picture.firmwareTables.some(({ signature }) => signature === name)) return { is: 'there' };
  const because = withheld(picture, `${TABLES}/${name}`);
  if (because === undefined) return { is: 'absent' };
  return { is: because.endsWith('(EACCES)') ? 'unreadable' : 'hidden', because };
}
