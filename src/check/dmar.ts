import type { DeviceScope, Dmar } from '../acpi/index.ts';

/** The DMAR table of firmware, as far as a person wants to see it. VT-d 5.10 §8. */
export interface DmarSummary {
  hostAddressWidth: number;
  flags: { INTR_REMAP: boolean; X2APIC_OPT_OUT: boolean; DMA_CTRL_PLATFORM_OPT_IN_FLAG: boolean };
  units: { segment: number; registerBase: string; includePciAll: boolean; scopes: string[] }[];
  /** RMRR: memory that firmware wants its devices to reach, and whose. */
  reserved: { segment: number; base: string; limit: string; scopes: string[] }[];
  /** What is broken in the table; `decode dmar` also tells what is only odd. */
  findings: string[];
}

export function summarizeDmar(dmar: Dmar): DmarSummary {
  const { hostAddressWidth, INTR_REMAP, X2APIC_OPT_OUT, DMA_CTRL_PLATFORM_OPT_IN_FLAG } = dmar;
  const hex = (value: bigint) => `0x${value.toString(16)}`;
  return {
    hostAddressWidth,
    flags: { INTR_REMAP, X2APIC_OPT_OUT, DMA_CTRL_PLATFORM_OPT_IN_FLAG },
    units: dmar.structures.flatMap((structure) =>
      structure.type === 'DRHD'
        ? [
            {
              segment: structure.segment,
              registerBase: hex(structure.registerBase),
              includePciAll: structure.includePciAll,
              scopes: structure.scopes.map(formatScope),
            },
          ]
        : [],
    ),
    reserved: dmar.structures.flatMap((structure) =>
      structure.type === 'RMRR'
        ? [
            {
              segment: structure.segment,
              base: hex(structure.base),
              limit: hex(structure.limit),
              scopes: structure.scopes.map(formatScope),
            },
          ]
        : [],
    ),
    findings: dmar.findings.filter(({ is }) => is === 'broken').map((finding) => `offset ${finding.offset}: ${finding.says}`),
  };
}

/** `endpoint 00:1f.2`, `bridge 00:1c.0/00.0`, `ioapic 0 at f0:1f.0`. */
export function formatScope({ type, typeNumber, enumerationId, startBus, path }: DeviceScope): string {
  const two = (value: number) => value.toString(16).padStart(2, '0');
  const place = `${two(startBus)}:${path.map((pair) => `${two(pair.device)}.${pair.function}`).join('/')}`;
  if (type === 'endpoint' || type === 'bridge') return `${type} ${place}`;
  return `${type ?? `type ${typeNumber}`} ${enumerationId} at ${place}`;
}
