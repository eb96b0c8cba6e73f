import type { DeviceScope, Dmar, DmarStructure } from '../acpi/index.ts';
import { hex } from '../bits/index.ts';
import { formatScope } from '../check/dmar.ts';
import { showBytes } from './output.ts';
import type { TableLine } from './table-reports.ts';

/** What a DMAR table says as a whole. */
export function dmarSays(dmar: Dmar): string[] {
  return [
    `Host addresses have ${dmar.hostAddressWidth} bits.`,
    dmar.INTR_REMAP ? 'Interrupts can be remapped.' : 'Interrupts cannot be remapped: INTR_REMAP is clear.',
    ...(dmar.X2APIC_OPT_OUT ? ['Firmware asks to leave x2APIC mode off (X2APIC_OPT_OUT).'] : []),
    ...(dmar.DMA_CTRL_PLATFORM_OPT_IN_FLAG
      ? ['Firmware keeps its own DMA to the regions below, and asks for DMA protection at boot (DMA_CTRL_PLATFORM_OPT_IN_FLAG).']
      : []),
  ];
}

export function dmarLines({ structures }: Dmar): TableLine[] {
  return structures.map((one) => ({
    offset: one.offset,
    name: one.type === 'unknown' ? `type ${one.typeNumber}` : one.type,
    says: sayStructure(one),
  }));
}

function sayStructure(one: DmarStructure): string[] {
  const named = 'scopes' in one ? one.scopes.map((scope) => sayScope(scope, one.type === 'SIDP')) : [];
  const segment = 'segment' in one && one.segment !== 0 ? ` of segment ${one.segment}` : '';
  switch (one.type) {
    case 'DRHD': {
      const unit = `unit at ${hex(one.registerBase)} with ${showBytes(one.registerBytes)} of registers, for`;
      if (!one.includePciAll) return [`${unit} these devices${segment || ' of segment 0'}:`, ...named];
      return [
        `${unit} all devices of segment ${one.segment} that no other unit names${named.length > 0 ? ', and' : ''}`,
        ...named,
      ];
    }
    case 'RMRR': {
      const size = one.limit >= one.base ? ` (${showBytes(Number(one.limit - one.base) + 1)})` : '';
      return [`memory ${hex(one.base)} to ${hex(one.limit)}${size} has to stay mapped${segment} for`, ...named];
    }
    case 'ATSR':
      return one.allPorts
        ? [`every root port of segment ${one.segment} passes ATS requests on`]
        : [`root ports${segment} that pass ATS requests on:`, ...named];
    case 'RHSA':
      return [`the unit at ${hex(one.registerBase)} is in proximity domain ${one.proximityDomain}`];
    case 'ANDD':
      return [`ACPI device ${one.deviceNumber} is ${one.deviceName}`];
    case 'SATC':
      return [
        `devices${segment} with a validated address translation cache${one.atcRequired ? ', which need it (ATC_REQUIRED)' : ''}:`,
        ...named,
      ];
    case 'SIDP':
      return [`devices${segment} with properties of their own:`, ...named];
    case 'unknown':
      return [`${one.data.length} bytes of a type that VT-d 5.10 does not have`];
  }
}

/** Names of the flags that a scope has inside SIDP. VT-d 5.10 §8.3.1. */
const PROPERTIES = [
  'no nested translation without PASID',
  'no PWSNP without PASID',
  'no PGSNP without PASID',
  'validated ATC',
  'ATC required',
];

function sayScope(scope: DeviceScope, withFlags: boolean): string {
  const properties = withFlags ? PROPERTIES.filter((_, bit) => scope.flags & (1 << bit)) : [];
  const behind = scope.type === 'bridge' ? ' and all behind it' : '';
  return `${formatScope(scope)}${behind}${properties.length > 0 ? `: ${properties.join(', ')}` : ''}`;
}
