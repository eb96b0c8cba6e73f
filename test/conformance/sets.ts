import { ACPI } from './acpi-sets.ts';
import { captureGroups, captureVfs } from './captures.ts';
import { faultLines } from './fault-lines.ts';
import { groupsSet } from './groups.ts';
import { IOVA } from './iova.ts';
import { CASES, LOGS } from './log-lines.ts';
import { MEMLOCK } from './memlock.ts';
import { pciCapabilities, pciHeaders } from './pci.ts';
import type { ConformanceSet } from './set.ts';
import { VTD } from './vtd.ts';
import { VTD_LINUX } from './vtd-linux.ts';
import { XRD } from './xrd.ts';

/** Every set, in the order of the report. */
export const SETS: readonly ConformanceSet[] = [
  XRD,
  MEMLOCK,
  IOVA,
  ...ACPI,
  groupsSet,
  captureGroups,
  captureVfs,
  pciHeaders,
  pciCapabilities,
  faultLines,
  ...LOGS,
  CASES,
  ...VTD,
  VTD_LINUX,
];
