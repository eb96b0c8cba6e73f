import type { Dmar, DmarStructure } from './dmar.ts';
import { Andd, Atsr, DmarFields, Drhd, Rhsa, Rmrr, Satc, Sidp, STRUCTURE_TYPES, StructureHeader } from './dmar-formats.ts';
import { buildScopes, type ScopeDescription } from './dmar-scopes.ts';
import type { Described } from './structure.ts';
import { buildTable, concat, type HeaderDescription } from './table.ts';

type WithScopes<S> = S extends { scopes: unknown } ? Omit<S, 'scopes'> & { scopes: readonly ScopeDescription[] } : S;

/** A structure without its place. `registerBytes` of a DRHD is 4096 when left out. */
export type DmarStructureDescription =
  | Exclude<WithScopes<Described<DmarStructure>>, { type: 'DRHD' }>
  | (Omit<Extract<WithScopes<Described<DmarStructure>>, { type: 'DRHD' }>, 'registerBytes'> & { registerBytes?: number });

/** What `buildDmar` needs; what `readDmar` gives is one. Flags that are left out are clear. */
export interface DmarDescription extends Partial<Pick<Dmar, 'INTR_REMAP' | 'X2APIC_OPT_OUT' | 'DMA_CTRL_PLATFORM_OPT_IN_FLAG'>> {
  header?: HeaderDescription;
  /** Bits of a host physical address. */
  hostAddressWidth: number;
  reserved?: Dmar['reserved'];
  structures: readonly DmarStructureDescription[];
}

/**
 * The bytes of a DMAR table with lengths and checksum. What was read from a sound table comes out as it was, byte for byte.
 * Source: VT-d 5.10 §8.
 *
 * @throws RangeError when a value does not fit its field
 */
export function buildDmar(dmar: DmarDescription): Uint8Array<ArrayBuffer> {
  const fields = DmarFields.encode({
    ...dmar.reserved,
    HostAddressWidth: dmar.hostAddressWidth - 1,
    INTR_REMAP: Number(dmar.INTR_REMAP ?? false),
    X2APIC_OPT_OUT: Number(dmar.X2APIC_OPT_OUT ?? false),
    DMA_CTRL_PLATFORM_OPT_IN_FLAG: Number(dmar.DMA_CTRL_PLATFORM_OPT_IN_FLAG ?? false),
  });
  return buildTable('DMAR', 1, dmar.header, [fields, ...dmar.structures.map(buildStructure)]);
}

function buildStructure(structure: DmarStructureDescription): Uint8Array<ArrayBuffer> {
  const { reserved, rest = new Uint8Array() } = structure;
  const Type = structure.type === 'unknown' ? structure.typeNumber : STRUCTURE_TYPES[structure.type];
  const scopes = 'scopes' in structure ? buildScopes(structure.scopes) : new Uint8Array();
  const header = (shape: { bytes: number }, more: number) => ({ ...reserved, Type, Length: shape.bytes + more + rest.length });
  switch (structure.type) {
    case 'DRHD': {
      const { includePciAll, registerBytes = 4096, segment, registerBase } = structure;
      const fields = Drhd.encode({
        ...header(Drhd, scopes.length),
        INCLUDE_PCI_ALL: Number(includePciAll),
        Size: Math.log2(registerBytes / 4096),
        SegmentNumber: segment,
        RegisterBaseAddress: registerBase,
      });
      return concat([fields, scopes, rest]);
    }
    case 'RMRR': {
      const { segment, base, limit } = structure;
      const range = { SegmentNumber: segment, BaseAddress: base, LimitAddress: limit };
      return concat([Rmrr.encode({ ...header(Rmrr, scopes.length), ...range }), scopes, rest]);
    }
    case 'ATSR': {
      const { allPorts, segment } = structure;
      const flags = { ALL_PORTS: Number(allPorts), SegmentNumber: segment };
      return concat([Atsr.encode({ ...header(Atsr, scopes.length), ...flags }), scopes, rest]);
    }
    case 'RHSA': {
      const { registerBase, proximityDomain } = structure;
      const fields = { RegisterBaseAddress: registerBase, ProximityDomain: proximityDomain };
      return concat([Rhsa.encode({ ...header(Rhsa, 0), ...fields }), rest]);
    }
    case 'ANDD': {
      const name = Uint8Array.from(`${structure.deviceName}\0`, (character) => character.charCodeAt(0));
      return concat([Andd.encode({ ...header(Andd, name.length), ACPIDeviceNumber: structure.deviceNumber }), name, rest]);
    }
    case 'SATC': {
      const { atcRequired, segment } = structure;
      const flags = { ATC_REQUIRED: Number(atcRequired), SegmentNumber: segment };
      return concat([Satc.encode({ ...header(Satc, scopes.length), ...flags }), scopes, rest]);
    }
    case 'SIDP':
      return concat([Sidp.encode({ ...header(Sidp, scopes.length), SegmentNumber: structure.segment }), scopes, rest]);
    case 'unknown':
      return concat([StructureHeader.encode(header(StructureHeader, structure.data.length)), structure.data, rest]);
  }
}
