import type { Decoded } from '../bits/index.ts';
import { Acs, AdvancedFeatures, Ari, Msix, PciExpress, PciExpress2, Sriov } from './capabilities.ts';
import { type Config, decodeCapability } from './config.ts';
import { CAPABILITY, EXTENDED } from './names.ts';

/** Each reads one capability; undefined when the function has none or it could not be read. */
export function acsOf(config: Config): Decoded<typeof Acs> | undefined {
  return decodeCapability(config, EXTENDED.ACS, Acs, true);
}

export function ariOf(config: Config): Decoded<typeof Ari> | undefined {
  return decodeCapability(config, EXTENDED.ARI, Ari, true);
}

export function sriovOf(config: Config): Decoded<typeof Sriov> | undefined {
  return decodeCapability(config, EXTENDED.SRIOV, Sriov, true);
}

export function expressOf(config: Config): Decoded<typeof PciExpress> | undefined {
  return decodeCapability(config, CAPABILITY.EXP, PciExpress);
}

/** Undefined also where the capability has version 1, which ends before these registers. */
export function express2Of(config: Config): Decoded<typeof PciExpress2> | undefined {
  const express = expressOf(config);
  return express && express.CapabilityVersion >= 2 ? decodeCapability(config, CAPABILITY.EXP, PciExpress2) : undefined;
}

export function msixOf(config: Config): Decoded<typeof Msix> | undefined {
  return decodeCapability(config, CAPABILITY.MSIX, Msix);
}

/** What stands where in the fabric; undefined for conventional PCI. */
export function portType(config: Config): keyof typeof PciExpress.values.DevicePortType | undefined {
  const express = expressOf(config);
  return (
    express &&
    (PciExpress.nameOf('DevicePortType', express.DevicePortType) as keyof typeof PciExpress.values.DevicePortType | undefined)
  );
}

/** Whether the function says that it can be reset alone; undefined when neither capability that would tell could be read. */
export function hasFlr(config: Config): boolean | undefined {
  const express = expressOf(config);
  const features = decodeCapability(config, CAPABILITY.AF, AdvancedFeatures);
  if (!express && !features) return undefined;
  return express?.FunctionLevelResetCapability === 1 || (features?.FLR_CAP === 1 && features.TP_CAP === 1);
}

/** MSI-X vectors that the function has; 0 without the capability. */
export function msixVectors(config: Config): number {
  const msix = msixOf(config);
  return msix ? msix.TableSize + 1 : 0;
}
