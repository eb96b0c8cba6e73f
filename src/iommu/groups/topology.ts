import type { PciExpress } from '../../pci/index.ts';

/** What stands where in the fabric. `conventional` is a function without a PCI Express capability. */
export type Port = keyof typeof PciExpress.values.DevicePortType | 'conventional' | 'other';

/** ACS bits as they stand in the capability and control registers. PCIe 6.0 §7.7.11; Linux `pci_regs.h`, PCI_ACS_*. */
export const ACS = { SV: 0x01, TB: 0x02, RR: 0x04, CR: 0x08, UF: 0x10, EC: 0x20, DT: 0x40 } as const;

/** The bits that the kernel asks of a function before it calls it isolated. Linux drivers/iommu/iommu.c, REQ_ACS_FLAGS. */
export const REQ_ACS_FLAGS: number = ACS.SV | ACS.RR | ACS.CR | ACS.UF;

export type AcsBit = 'SV' | 'RR' | 'CR' | 'UF';
const REQUIRED: readonly AcsBit[] = ['SV', 'RR', 'CR', 'UF'];

/** The names of those bits that are set in a mask, of those that the kernel asks for. */
export function requiredBits(mask: number): AcsBit[] {
  return REQUIRED.filter((name) => mask & ACS[name]);
}

export interface AcsRegisters {
  /** What the function could do. */
  capability: number;
  /** What it does: this decides. */
  control: number;
  /** Bits that could not be read in one of the two; 0 when all could. */
  unread: number;
  /** The double word at 8 of the capability, which is the control register of some Intel ports; absent when not read. */
  controlAt8?: number;
}

export interface VfFacts {
  /** VFs that exist now; 0 when VF Enable is off. */
  numVFs: number;
  /** Absent where a listing does not say. */
  totalVFs?: number;
  firstVFOffset?: number;
  vfStride?: number;
  vfDevice?: number;
}

/**
 * One function with what decides its group. What could not be read is absent, and then the answer may be `unknown`;
 * `'none'` says that it was read and is not there.
 */
export interface TopologyFunction {
  /** `0000:3b:00.0`, as the kernel writes it. */
  bdf: string;
  /** 0 where a listing without numbers names a maker that no quirk is about. */
  vendor?: number;
  device?: number;
  subsystem?: { vendor: number; device: number };
  /** Words of a listing that has no numbers. */
  name?: string;
  /** 24 bits: class, subclass, programming interface. */
  class?: number;
  /** The bit of the header. Functions above 0 are part of a multi-function device without it. */
  multifunction?: boolean;
  port?: Port;
  /** For bridges. */
  buses?: { secondary: number; subordinate: number };
  acs?: AcsRegisters | 'none';
  /** ARI Forwarding Enable, of a port. */
  ariForwarding?: boolean;
  sriov?: VfFacts | 'none';
  /** The PF, for a VF. */
  physfn?: string;
  /** The bridge that it is behind; null on a root bus. Absent: found by bus numbers. */
  above?: string | null;
  /** The VMD function that it is behind, whose requester ID its DMA carries; null when it is not known which one that is. */
  realDma?: string | null;
  /** Further devices and functions (5 bits and 3 bits) of its bus that its DMA may carry: IVRS knows such. */
  aliases?: readonly number[];
  /** Whether a remapping unit that the kernel drives is in front of it. Absent: taken as so. */
  covered?: boolean;
  /** Why it is not covered, or not known to be. */
  coveredBecause?: string;
}

/** A machine, as far as groups go. */
export interface Topology {
  functions: readonly TopologyFunction[];
  /** An IVRS table is there: it makes quirks of AMD southbridges apply. */
  ivrs?: boolean;
}

/** The same machine with other ACS controls, where there is a capability that could be read. */
export function withAcsControl(topology: Topology, control: (capability: number) => number): Topology {
  const changed = (f: TopologyFunction): TopologyFunction => {
    if (f.acs === undefined || f.acs === 'none') return f;
    const value = control(f.acs.capability);
    return { ...f, acs: { ...f.acs, control: value, ...(f.acs.controlAt8 !== undefined && { controlAt8: value }) } };
  };
  return { ...topology, functions: topology.functions.map(changed) };
}

/** ACS as the kernel turns it on at boot when it means to use an IOMMU. Linux drivers/pci/pci.c, pci_std_enable_acs(). */
export function acsAtBoot(topology: Topology): Topology {
  return withAcsControl(topology, (capability) => capability & REQ_ACS_FLAGS);
}
