import type { Decoded, Entry, Fields } from '../bits/index.ts';
import { AdvancedFeatures, Msix, PowerManagement } from './capabilities.ts';
import { type Capability, type Config, decodeCapability, findCapability } from './config.ts';
import { ExpressLink, PciExpress, PciExpress2 } from './express.ts';
import { Acs, Ari, Ats, Pasid, Pri, ResizableBar, Sriov } from './isolation.ts';
import { CAPABILITY, EXTENDED } from './names.ts';

/** Each reads one capability; undefined when the function has none or it could not be read. */
export function acsOf(config: Config): Decoded<typeof Acs> | undefined {
  return decodeCapability(config, EXTENDED.ACS, Acs, true);
}

export function ariOf(config: Config): Decoded<typeof Ari> | undefined {
  return decodeCapability(config, EXTENDED.ARI, Ari, true);
}

export function atsOf(config: Config): Decoded<typeof Ats> | undefined {
  return decodeCapability(config, EXTENDED.ATS, Ats, true);
}

export function priOf(config: Config): Decoded<typeof Pri> | undefined {
  return decodeCapability(config, EXTENDED.PRI, Pri, true);
}

export function pasidOf(config: Config): Decoded<typeof Pasid> | undefined {
  return decodeCapability(config, EXTENDED.PASID, Pasid, true);
}

export function sriovOf(config: Config): Decoded<typeof Sriov> | undefined {
  return decodeCapability(config, EXTENDED.SRIOV, Sriov, true);
}

export function expressOf(config: Config): Decoded<typeof PciExpress> | undefined {
  return decodeCapability(config, CAPABILITY.EXP, PciExpress);
}

/** Undefined also where the capability has version 1, which ends before these registers. */
export function express2Of(config: Config): Decoded<typeof PciExpress2> | undefined {
  const at = placeOf(config, CAPABILITY.EXP, PciExpress);
  if (at === undefined || PciExpress.get.CapabilityVersion(config.view, at) < 2) return undefined;
  return decodeCapability(config, CAPABILITY.EXP, PciExpress2);
}

export function msixOf(config: Config): Decoded<typeof Msix> | undefined {
  return decodeCapability(config, CAPABILITY.MSIX, Msix);
}

/** Words 04h and 06h of the ACS capability as they are; undefined without one. */
export function acsWords(config: Config): { capability: number; control: number } | undefined {
  const at = placeOf(config, EXTENDED.ACS, Acs, true);
  if (at === undefined) return undefined;
  return { capability: config.view.getUint16(at + 4, true), control: config.view.getUint16(at + 6, true) };
}

export type PortType = keyof typeof PciExpress.values.DevicePortType;

/** What stands where in the fabric; undefined for conventional PCI. */
export function portType(config: Config): PortType | undefined {
  const at = placeOf(config, CAPABILITY.EXP, PciExpress);
  if (at === undefined) return undefined;
  return PciExpress.nameOf('DevicePortType', PciExpress.get.DevicePortType(config.view, at)) as PortType | undefined;
}

/** Speeds in GT/s, undefined where the number stands for none; widths in lanes, 0 while the link is down. */
export interface Link {
  speed: number | undefined;
  width: number;
  maxSpeed: number | undefined;
  maxWidth: number;
}

/** What is asked most of a PCI Express Capability. */
export interface PcieCapability {
  version: number;
  /** Undefined for a type that is not defined. */
  type: PortType | undefined;
  flr: boolean;
  slot: boolean;
  /** Undefined for integrated endpoints and event collectors. */
  link: Link | undefined;
  /** Of a port, for the functions below it. False where version 1 has no place for it. */
  ariForwarding: { supported: boolean; enabled: boolean };
}

const GIGATRANSFERS = [undefined, 2.5, 5, 8, 16, 32, 64];

/** Reads the PCI Express Capability; undefined for conventional PCI, or when the capability was not read whole. */
export function pcieCapability(config: Config): PcieCapability | undefined {
  const at = placeOf(config, CAPABILITY.EXP, PciExpress);
  if (at === undefined) return undefined;
  const { view } = config;
  const { get } = PciExpress;
  const version = get.CapabilityVersion(view, at);
  const type = portType(config);
  const second = at + PciExpress2.offset!;
  const has2 = version >= 2 && PciExpress2.fits(view, second);
  return {
    version,
    type,
    flr: get.FunctionLevelResetCapability(view, at) === 1,
    slot: get.SlotImplemented(view, at) === 1,
    link: type === 'integratedEndpoint' || type === 'eventCollector' ? undefined : linkAt(view, at + ExpressLink.offset!),
    ariForwarding: {
      supported: has2 && PciExpress2.get.ARIForwardingSupported(view, second) === 1,
      enabled: has2 && PciExpress2.get.ARIForwardingEnable(view, second) === 1,
    },
  };
}

function linkAt(view: DataView, at: number): Link | undefined {
  if (!ExpressLink.fits(view, at)) return undefined;
  const { CurrentLinkSpeed, NegotiatedLinkWidth, MaxLinkSpeed, MaximumLinkWidth } = ExpressLink.get;
  return {
    speed: GIGATRANSFERS[CurrentLinkSpeed(view, at)],
    width: NegotiatedLinkWidth(view, at),
    maxSpeed: GIGATRANSFERS[MaxLinkSpeed(view, at)],
    maxWidth: MaximumLinkWidth(view, at),
  };
}

/** Whether the function says that it can be reset alone; undefined when neither capability that would tell could be read. */
export function hasFlr(config: Config): boolean | undefined {
  const express = placeOf(config, CAPABILITY.EXP, PciExpress);
  const features = placeOf(config, CAPABILITY.AF, AdvancedFeatures);
  if (express === undefined && features === undefined) return undefined;
  return expressFlr(config, express) || featuresFlr(config, features);
}

/** How the function can be reset alone, in the words and the order of sysfs `reset_method`. */
export type ResetWay = 'flr' | 'af_flr' | 'pm';

/**
 * What configuration space says about resets of this function alone: FLR, FLR of Advanced Features, and the way through D3hot.
 * A driver, firmware or the bus above may know more, and the kernel's quirks may forbid one.
 * Source: Linux 6.12 drivers/pci/pci.c, pci_reset_fn_methods. Undefined when the capabilities were not read.
 */
export function resetWays(config: Config): ResetWay[] | undefined {
  if (config.capabilities.length === 0 && config.findings.some(({ is }) => is === 'short' || is === 'absent')) return undefined;
  const ways: ResetWay[] = [];
  if (expressFlr(config, placeOf(config, CAPABILITY.EXP, PciExpress))) ways.push('flr');
  if (featuresFlr(config, placeOf(config, CAPABILITY.AF, AdvancedFeatures))) ways.push('af_flr');
  const pm = placeOf(config, CAPABILITY.PM, PowerManagement);
  if (pm !== undefined && PowerManagement.get.No_Soft_Reset(config.view, pm) === 0) ways.push('pm');
  return ways;
}

function expressFlr({ view }: Config, at: number | undefined): boolean {
  return at !== undefined && PciExpress.get.FunctionLevelResetCapability(view, at) === 1;
}

function featuresFlr({ view }: Config, at: number | undefined): boolean {
  return at !== undefined && AdvancedFeatures.get.FLR_CAP(view, at) === 1 && AdvancedFeatures.get.TP_CAP(view, at) === 1;
}

/** MSI-X vectors that the function has; 0 without the capability. */
export function msixVectors(config: Config): number {
  const at = placeOf(config, CAPABILITY.MSIX, Msix);
  return at === undefined ? 0 : Msix.get.TableSize(config.view, at) + 1;
}

/** A BAR whose size can be chosen. Sizes in bytes, smallest first; beyond 2^53 they are still exact powers of two. */
export interface SizedBar {
  index: number;
  size: number;
  supported: number[];
}

/** The resizable BARs of a function, or with `vf` those of its VFs (then each size is that of one VF). Empty without any. */
export function resizableBars(config: Config, vf = false): SizedBar[] {
  const capability = findCapability(config, vf ? EXTENDED.VFREBAR : EXTENDED.REBAR, true);
  if (!capability) return [];
  const { view } = config;
  const { get } = ResizableBar;
  const bars: SizedBar[] = [];
  let count = 1;
  for (let i = 0; i < count; i++) {
    const at = capability.offset + 4 + i * ResizableBar.bytes;
    if (!ResizableBar.fits(view, at)) break;
    if (i === 0) count = get.NumberOfResizableBARs(view, at);
    if (count < 1 || count > 6) break;
    const low = get.SizesSupported(view, at);
    const high = get.SizesSupportedUpper(view, at);
    const supported: number[] = [];
    for (let n = 0; n < 44; n++) if (n < 28 ? (low >>> n) & 1 : (high >>> (n - 28)) & 1) supported.push(2 ** (n + 20));
    bars.push({ index: get.BARIndex(view, at), size: 2 ** (get.BARSize(view, at) + 20), supported });
  }
  return bars;
}

/** Where the first capability with that ID is, when all of the structure was read. */
function placeOf<F extends Fields>(config: Config, id: number, structure: Entry<F>, extended = false): number | undefined {
  const found: Capability | undefined = findCapability(config, id, extended);
  return found && structure.fits(config.view, found.offset) ? found.offset : undefined;
}
