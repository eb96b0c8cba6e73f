import { acpiDmar } from './acpi-dmar.ts';
import { acpiMcfg } from './acpi-mcfg.ts';
import type { ConformanceSet } from './set.ts';

/** Tables of firmware. */
export const ACPI: readonly ConformanceSet[] = [acpiDmar, acpiMcfg];
