import type { PciFunction } from '../host/functions.ts';
import type { IommuUnit } from '../host/iommu.ts';
import { groupNumbered, type Picture, unitNamed } from '../host/picture.ts';
import { readAmdRegisters } from '../iommu/index.ts';
import { defaultDomainOption, optionValues } from './cmdline.ts';
import { kernelAtLeast, kernelConfig } from './facts.ts';
import { once } from './index-of.ts';
import { registersOf } from './units.ts';

/** What the host's own drivers get for a function: its group's default domain. VFIO replaces it while it owns the group. */
export interface DefaultDomain {
  /** As the kernel prints it: `identity`, `DMA` (strict), `DMA-FQ` (lazy), `blocked` ... */
  type: string;
  /** What that means for the host's drivers. */
  means: string;
  /** Why it is so. */
  because: string;
}

const MEANS: Readonly<Record<string, string>> = {
  identity: 'the host addresses memory directly through it; nothing is checked',
  DMA: 'translated, every unmap waits for the invalidation (strict)',
  'DMA-FQ': 'translated, invalidations are batched (lazy): what was unmapped stays reachable for some milliseconds',
  blocked: 'no DMA reaches memory',
  unmanaged: 'translated by whoever owns the group',
};

/**
 * The default domain of a function's group as sysfs says, with the reason for it. Undefined without a readable group.
 * Source: Linux drivers/iommu/iommu.c iommu_get_default_domain_type(), iommu_def_domain_type.
 */
export function defaultDomain(picture: Picture, found: PciFunction): DefaultDomain | undefined {
  const group = found.group === undefined ? undefined : groupNumbered(picture, found.group);
  if (group?.type === undefined) return undefined;
  const { type } = group;
  const expected = expectedDomain(picture, found);
  const because =
    expected.type === type
      ? expected.because
      : `the boot options alone would give ${expected.type} (${expected.because}): a quirk, a later write to its type file, or another function of the group decided`;
  return { type, means: MEANS[type] ?? 'of a kind that this version does not know', because };
}

interface ExpectedDomain {
  type: string;
  because: string;
}

/** What boot options, the unit and the function itself lead to. */
export function expectedDomain(picture: Picture, found: PciFunction): ExpectedDomain {
  const known = expectedDomains(picture);
  const key = `${isUntrusted(found)} ${found.unit}`;
  let domain = known.get(key);
  if (domain === undefined) {
    domain = domainOf(picture, found);
    known.set(key, domain);
  }
  return domain;
}

/** Functions that are trusted alike behind the same unit are expected to have the same. */
const expectedDomains = once(() => new Map<string, ExpectedDomain>());

function domainOf(picture: Picture, found: PciFunction): ExpectedDomain {
  const unit = found.unit === undefined ? undefined : unitNamed(picture, found.unit);
  const strict = strictBecause(picture, found, unit);
  const translated = { type: strict === undefined ? 'DMA-FQ' : 'DMA' };
  const how = strict === undefined ? 'lazy is the default' : `strict because ${strict}`;
  if (isUntrusted(found)) return { ...translated, because: `it is outside the machine's case, so it is not trusted; ${how}` };
  const through = passThroughBecause(picture);
  if (through === undefined) return { ...translated, because: `no option asks for pass-through; ${how}` };
  const registers = unit === undefined ? undefined : registersOf(unit);
  if (registers !== undefined && registers.ecap.PT === 0 && kernelAtLeast(picture, 6, 7) === true)
    return { ...translated, because: `${through}, but ECAP_REG.PT is 0: the unit cannot pass through; ${how}` };
  return { type: 'identity', because: through };
}

/** Whether the kernel takes a function for one that a stranger could have plugged in. Source: set_pcie_untrusted(). */
export function isUntrusted(found: PciFunction): boolean {
  return found.removable === 'removable';
}

/** What makes pass-through the default for trusted functions, or undefined. The last option counts. */
function passThroughBecause(picture: Picture): string | undefined {
  const said = defaultDomainOption(picture.system.cmdline);
  if (said !== undefined) return said.identity ? `${said.option} makes pass-through the default` : undefined;
  return kernelConfig(picture, 'CONFIG_IOMMU_DEFAULT_PASSTHROUGH') === 'y'
    ? 'the kernel was built with pass-through as its default'
    : undefined;
}

/** What makes every unmap wait for its invalidation, or undefined. */
function strictBecause(picture: Picture, found: PciFunction, unit: IommuUnit | undefined): string | undefined {
  const { system } = picture;
  if (isUntrusted(found)) return 'it is not trusted';
  // A unit that caches what is not present belongs to a VMM that has to hear of every change: the kernel does not batch there.
  if (unit !== undefined && registersOf(unit)?.cap.CM === 1) return `CAP_REG.CM of ${unit.name} is 1: it is a vIOMMU`;
  const amd = unit?.amd === undefined ? undefined : readAmdRegisters(unit.amd.cap, unit.amd.features);
  if (amd?.capability.NpCache === 1) return `${unit?.name} is a vIOMMU (NpCache)`;
  if (optionValues(system.cmdline, 'intel_iommu').includes('strict')) return 'intel_iommu=strict';
  if (optionValues(system.cmdline, 'amd_iommu').some((value) => value.startsWith('fullflush'))) return 'amd_iommu=fullflush';
  const asked = optionValues(system.cmdline, 'iommu.strict').at(-1);
  if (asked !== undefined) return isYes(asked) ? 'iommu.strict=1' : undefined;
  if (unit !== undefined && unit.cap === undefined && unit.amd === undefined && kernelAtLeast(picture, 6, 8) === false)
    return 'this kernel batches nothing with virtio-iommu';
  return kernelConfig(picture, 'CONFIG_IOMMU_DEFAULT_DMA_STRICT') === 'y' ? 'the kernel was built so' : undefined;
}

/** What the kernel takes for yes. Source: Linux lib/kstrtox.c kstrtobool(). */
export function isYes(value: string): boolean {
  return /^([yYtT1]|[oO][nN])/.test(value);
}
