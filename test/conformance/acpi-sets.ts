import { acpiAnomalies } from './acpi-anomalies.ts';
import { acpiDmar } from './acpi-dmar.ts';
import { acpiIvrs } from './acpi-ivrs.ts';
import { acpiMcfg } from './acpi-mcfg.ts';
import type { ConformanceSet } from './set.ts';

/** Tables of firmware. */
export const ACPI: readonly ConformanceSet[] = [acpiDmar, acpiIvrs, acpiMcfg, acpiAnomalies];
