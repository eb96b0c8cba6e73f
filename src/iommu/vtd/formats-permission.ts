import { bit, entry, type Field, field, frame, ignored, reserved } from '../../bits/entry.ts';

// Host permission tables: what devices may do to physical addresses with translated requests. VT-d 5.10 §4.2.4, §9.12. Bits of
// addresses from the host address width on are reserved as well.

/** PPi of so many pages, 4 bits each. Table 48. */
function permissions(pages: number, size: string): { readonly [name: string]: Field } {
  const fields: { [name: string]: Field } = {};
  for (let page = 0; page < pages; page++) {
    const at = page * 4;
    fields[`PP${page}`] = field(at + 1, at, `Permissions of ${size} page ${page}`, { none: 0, read: 1, write: 2, readWrite: 3 });
    fields[`RSVD_${at + 2}`] = reserved(at + 3, at + 2);
  }
  return fields;
}

/** The table of the next level, from bit 64 on. */
const TABLE = {
  AV: bit(64, 'Address Valid'),
  RSVD_65: reserved(75, 65),
  ADDR: frame(115, 76, 'Address'),
  IGN_116: ignored(127, 116),
} as const;

export const HptL4Entry = entry(
  'Host Permission Table Entry, Level 4',
  { source: 'VT-d 5.10 §9.12.1', bits: 128 },
  { RSVD_0: reserved(63, 0), ...TABLE },
);

/** PPi are reserved unless ECAP_REG.HPT1GPS is 1. */
export const HptL3Entry = entry(
  'Host Permission Table Entry, Level 3',
  { source: 'VT-d 5.10 §9.12.2', bits: 128 },
  { ...permissions(8, '1-GByte'), RSVD_32: reserved(63, 32), ...TABLE },
);

export const HptL2Entry = entry(
  'Host Permission Table Entry, Level 2',
  { source: 'VT-d 5.10 §9.12.3', bits: 128 },
  { ...permissions(16, '2-MByte'), ...TABLE },
);

export const HptL1Entry = entry(
  'Host Permission Table Entry, Level 1',
  { source: 'VT-d 5.10 §9.12.4', bits: 128 },
  permissions(32, '4-KByte'),
);
