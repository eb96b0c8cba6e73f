import type { PciFunction } from '../host/functions.ts';
import type { Picture } from '../host/picture.ts';
import { CAPABILITY, EXTENDED, findCapability } from '../pci/index.ts';
import { isYes } from './domain.ts';
import { configOf, indexOf } from './index-of.ts';
import { registersOf } from './units.ts';

/** One option on the kernel's command line that has to do with passthrough. */
export interface BootOption {
  /** As it stands there: `intel_iommu=on,sm_on` gives one for each value. */
  text: string;
  /** What it is for. */
  does: string;
  /** What it really does on this machine. */
  here: string;
  /** False when it changes nothing here: another vendor's, not understood, or nothing there to act on. */
  effective: boolean;
}

/** What an option does on a machine. `value` is what stands after `=`, one of the values with commas between. */
interface Known {
  name: RegExp;
  value?: RegExp;
  does: string;
  here(host: Facts, value: string): { here: string; effective: boolean };
}

/** What the effects depend on. */
interface Facts {
  picture: Picture;
  vtd: boolean;
  amd: boolean;
  identity: number;
}

const yes = (here: string) => ({ here, effective: true });
const no = (here: string) => ({ here, effective: false });

/**
 * Options in the words of Linux Documentation/admin-guide/kernel-parameters.txt. The first that fits counts, and one that fits
 * only by its name is a value that the kernel does not know.
 */
const KNOWN: readonly Known[] = [
  intel(/^on$/, 'turns DMA remapping of VT-d on', ({ picture }) =>
    picture.units.length > 0
      ? yes(`${countOf(picture.units.length, 'unit')} at work`)
      : no('no unit is at work: see the problems'),
  ),
  intel(/^off$/, 'turns DMA remapping of VT-d off; interrupt remapping stays', ({ picture }) =>
    picture.units.length === 0
      ? yes('no device has a group: nothing can be passed through')
      : no('units are at work all the same'),
  ),
  intel(/^sm_on$/, 'scalable mode where units can', ({ picture }) => {
    const able = picture.units.filter((unit) => registersOf(unit)?.ecap.SMTS === 1).length;
    return able > 0
      ? yes(`${able} of ${countOf(picture.units.length, 'unit')} can (ECAP_REG.SMTS)`)
      : no('no unit can: ECAP_REG.SMTS is 0, they stay in legacy mode');
  }),
  intel(/^sm_off$/, 'legacy mode also where units know scalable mode', ({ picture }) => {
    const able = picture.units.filter((unit) => registersOf(unit)?.ecap.SMTS === 1).length;
    return able > 0 ? yes(`${countOf(able, 'unit')} would know it`) : no('no unit knows scalable mode anyway');
  }),
  intel(/^igfx_off$/, 'no DMA remapping for integrated graphics', ({ picture }) => {
    const graphics = picture.functions.filter((found) => found.class >>> 16 === 3 && found.vendor === 0x8086);
    return graphics.length > 0
      ? yes(
          graphics
            .map(
              (found) =>
                `${found.bdf} ${found.group === undefined ? 'has no group and cannot be passed through' : `is in group ${found.group}`}`,
            )
            .join('; '),
        )
      : no('there is no Intel graphics function');
  }),
  intel(/^strict$/, 'the old name of iommu.strict=1', strictness),
  intel(/^forcedac$/, 'the old name of iommu.forcedac=1', () => yes('drivers get addresses above 4 GiB at once')),
  intel(/^sp_off$/, 'no large pages in second-stage tables', () => yes('each 4 KiB has an entry of its own: more misses')),
  intel(/^tboot_noforce$/, 'does not force DMA remapping on under tboot', ({ picture }) =>
    picture.units.length > 0 ? no('units are at work for another reason') : yes('no unit is at work'),
  ),
  intel(/^nobounce$/, 'no bounce buffers for untrusted devices', () => yes('parts of pages beside a buffer are reachable')),
  amd(/^off$/, 'turns AMD-Vi off', ({ picture }) =>
    picture.units.length === 0
      ? yes('no device has a group: nothing can be passed through')
      : no('units are at work all the same'),
  ),
  amd(/^fullflush$/, 'the old name of iommu.strict=1', strictness),
  amd(/^force_isolation$/, 'translates every device, also where pass-through is the default', () => yes('as it says')),
  amd(/^force_enable$/, 'uses units that are known to make trouble', () => yes('as it says')),
  amd(/^pgtbl_v[12]$/, 'the format of tables for the host', ({ picture }, value) =>
    picture.units.length > 0 ? yes(`${value} is asked for; units that cannot stay with v1`) : no('no unit is at work'),
  ),
  amd(/^(irtcachedis|nohugepages|v2_pgsizes_only)$/, 'a work-around', () => yes('as it says')),
  {
    name: /^iommu$/,
    value: /^pt$/,
    does: "pass-through as default domain for the host's own drivers; VFIO translates all the same",
    here: passThrough,
  },
  { name: /^iommu$/, value: /^nopt$/, does: 'translation as default domain', here: passThrough },
  {
    name: /^iommu$/,
    value: /^off$/,
    does: 'turns remapping of DMA off',
    here: ({ picture }) => (picture.units.length === 0 ? yes('no device has a group') : no('units are at work all the same')),
  },
  {
    name: /^iommu$/,
    value: /^(force|noforce|soft|merge|nomerge|biomerge|panic|nopanic|allowdac|nodac|usedac|forcesac)$/,
    does: 'about addresses of devices without an IOMMU',
    here: () => no('does not decide about passthrough'),
  },
  { name: /^iommu\.passthrough$/, value: /./, does: "the default domain for the host's own drivers", here: passThrough },
  { name: /^iommu\.strict$/, value: /./, does: 'whether an unmap waits for its invalidation', here: strictness },
  {
    name: /^iommu\.forcedac$/,
    value: /./,
    does: 'addresses above 4 GiB at once',
    here: (_, value) => (isYes(value) ? yes('on') : no('off')),
  },
  {
    name: /^intremap$/,
    value: /^on$/,
    does: 'turns interrupt remapping on',
    here: () => yes('it is on wherever units can'),
  },
  {
    name: /^intremap$/,
    value: /^off$/,
    does: 'turns interrupt remapping off',
    here: () => yes('VFIO refuses devices unless allow_unsafe_interrupts is set'),
  },
  {
    name: /^intremap$/,
    value: /^nosid$/,
    does: 'requests are not checked for who sent them',
    here: () => yes('a guest may use entries of another'),
  },
  {
    name: /^intremap$/,
    value: /^no_x2apic_optout$/,
    does: "ignores the firmware's wish to leave x2APIC off",
    here: ({ picture }) =>
      indexOf(picture).dmar?.X2APIC_OPT_OUT === true
        ? yes('the firmware asks for it (X2APIC_OPT_OUT) and is not heard')
        : no('the firmware does not ask for it'),
  },
  {
    name: /^intremap$/,
    value: /^nopost$/,
    does: 'no posted interrupts',
    here: () => yes('interrupts of guests go through the host'),
  },
  {
    name: /^(nointremap|noapic)$/,
    does: 'no interrupt remapping',
    here: () => yes('VFIO refuses devices unless allow_unsafe_interrupts is set'),
  },
  {
    name: /^nox2apic$/,
    does: 'no x2APIC mode',
    here: () => yes('at most 255 processors, interrupt remapping in its short form'),
  },
  {
    name: /^pci$/,
    value: /^noats$/,
    does: 'no device-TLBs',
    here: ({ picture }) => having(picture, EXTENDED.ATS, 'function has ATS', 'functions have ATS', 'it stays off'),
  },
  {
    name: /^pci$/,
    value: /^noari$/,
    does: 'no alternative routing IDs',
    here: ({ picture }) =>
      having(picture, EXTENDED.ARI, 'function has ARI', 'functions have ARI', 'functions above 7 are not seen'),
  },
  {
    name: /^pci$/,
    value: /^nomsi$/,
    does: 'no MSI and no MSI-X',
    here: () => yes('most devices cannot be passed through in earnest'),
  },
  {
    name: /^pci$/,
    value: /^disable_acs_redir=/,
    does: 'turns ACS redirection of the named bridges off',
    here: () => yes('functions behind them may reach each other directly, and share groups'),
  },
  {
    name: /^pci$/,
    value: /^config_acs=/,
    does: 'sets the ACS bits of the named bridges',
    here: () => yes('groups follow from them'),
  },
  {
    name: /^pci$/,
    value: /^realloc(=.*)?$/,
    does: 'assigns BARs anew where firmware left too little',
    here: () => yes('VFs may get room'),
  },
  { name: /^pci$/, value: /^assign-busses$/, does: 'gives all bus numbers anew', here: () => yes('VFs may get bus numbers') },
  {
    name: /^pcie_acs_override$/,
    does: 'makes the kernel believe in isolation that is not there (a patch outside of Linux)',
    here: ({ picture: { log } }) =>
      log === undefined
        ? yes('whether this kernel has the patch only its log tells, which needs root')
        : log.some(({ text }) => text.includes('PCIe ACS overrides enabled'))
          ? yes('this kernel has the patch: groups are finer than the hardware isolates')
          : no('a kernel without that patch ignores it'),
  },
  { name: /^vfio[-_]pci\.ids$/, value: /./, does: 'vfio-pci takes these devices when it loads', here: vfioIds },
  {
    name: /^vfio_iommu_type1\.allow_unsafe_interrupts$/,
    value: /./,
    does: 'VFIO also without interrupt remapping',
    here: (_, value) => (isYes(value) ? yes('a guest may inject interrupts into this host') : no('off')),
  },
  {
    name: /^vfio\.enable_unsafe_noiommu_mode$/,
    value: /./,
    does: 'VFIO without an IOMMU, for DPDK',
    here: (_, value) => (isYes(value) ? yes('no isolation at all; QEMU cannot use it') : no('off')),
  },
  {
    name: /^kvm[-_](intel|amd)\.nested$/,
    value: /./,
    does: 'guests may run guests',
    here: (_, value) => (isYes(value) ? yes('on') : yes('off: no L2')),
  },
];

/** Options that have to do with passthrough, in the order of the command line. */
export function bootOptions(picture: Picture): BootOption[] {
  const { units } = picture;
  const table = (signature: string) => picture.firmwareTables.some((one) => one.signature === signature);
  const facts: Facts = {
    picture,
    vtd: units.some((unit) => unit.cap !== undefined) || table('DMAR'),
    amd: units.some((unit) => unit.amd !== undefined) || table('IVRS'),
    identity: picture.groups.filter(({ type }) => type === 'identity').length,
  };
  const found: BootOption[] = [];
  for (const word of picture.system.cmdline.match(/(?:"[^"]*"|[^\s"])+/g) ?? []) {
    if (word === '--') break;
    const plain = word.replaceAll('"', '');
    const equals = plain.indexOf('=');
    const name = equals < 0 ? plain : plain.slice(0, equals);
    // An address list of `pci=config_acs=` has no commas, but the ids of vfio-pci do.
    const values = equals < 0 ? [''] : /\.ids$/.test(name) ? [plain.slice(equals + 1)] : plain.slice(equals + 1).split(',');
    for (const value of values) {
      const named = KNOWN.filter((known) => known.name.test(name));
      if (named.length === 0 || (name === 'pci' && !named.some((known) => known.value?.test(value)))) continue;
      const known = named.find((one) => one.value === undefined || one.value.test(value));
      const text = equals < 0 ? name : `${name}=${value}`;
      found.push(
        known === undefined
          ? { text, does: 'nothing that the kernel knows', here: 'ignored: check how it is spelt', effective: false }
          : { text, does: known.does, ...known.here(facts, value) },
      );
    }
  }
  return found;
}

function intel(value: RegExp, does: string, here: Known['here']): Known {
  return {
    name: /^intel_iommu$/,
    value,
    does,
    here: (facts, text) =>
      facts.vtd || !facts.amd ? here(facts, text) : no('this machine has AMD-Vi, which does not look at it'),
  };
}

function amd(value: RegExp, does: string, here: Known['here']): Known {
  return {
    name: /^amd_iommu$/,
    value,
    does,
    here: (facts, text) => (facts.amd || !facts.vtd ? here(facts, text) : no('this machine has VT-d, which does not look at it')),
  };
}

function passThrough({ picture, identity }: Facts, value: string): { here: string; effective: boolean } {
  const all = picture.groups.length;
  if (all === 0) return no('there are no groups');
  const asked = value === 'pt' || isYes(value);
  if (!asked)
    return identity === 0
      ? yes(`all ${countOf(all, 'group')} are translated`)
      : no(`${identity} of ${countOf(all, 'group')} have pass-through as default: a later option says so`);
  const incapable = picture.units.filter((unit) => registersOf(unit)?.ecap.PT === 0).length;
  const why = identity === 0 && incapable > 0 ? `: ECAP_REG.PT is 0 in ${countOf(incapable, 'unit')}` : '';
  return {
    here: `${identity} of ${countOf(all, 'group')} have pass-through as default${why}`,
    effective: identity > 0 || why === '',
  };
}

function strictness({ picture }: Facts): { here: string; effective: boolean } {
  const strict = picture.groups.filter(({ type }) => type === 'DMA').length;
  const lazy = picture.groups.filter(({ type }) => type === 'DMA-FQ').length;
  if (strict + lazy === 0) return no('no group is translated for the host');
  const forced = picture.units.some((unit) => registersOf(unit)?.cap.CM === 1) ? ': a vIOMMU is always strict' : '';
  return { here: `${countOf(strict, 'group')} strict, ${lazy} lazy${forced}`, effective: forced === '' };
}

function vfioIds({ picture }: Facts, value: string): { here: string; effective: boolean } {
  const bound = (found: PciFunction) =>
    found.driver === 'vfio-pci' ? 'vfio-pci has it' : `${found.driver ?? 'no driver'} has it`;
  const parts = value.split(',').map((id) => {
    const [vendor, device] = id.split(':').map((digits) => Number.parseInt(digits, 16));
    const same = picture.functions.filter((found) => found.vendor === vendor && found.device === device);
    return same.length === 0 ? `${id}: no such function` : same.map((found) => `${found.bdf}: ${bound(found)}`).join('; ');
  });
  const taken = picture.functions.some(
    (found) => found.driver === 'vfio-pci' && value.toLowerCase().includes(`${hex4(found.vendor)}:${hex4(found.device)}`),
  );
  return { here: parts.join('; '), effective: taken };
}

/** How many functions have an extended capability, as far as their configuration space could be read. */
function having(picture: Picture, id: number, one: string, many: string, so: string): { here: string; effective: boolean } {
  let able = 0;
  let short = 0;
  for (const found of picture.functions) {
    const read = configOf(found);
    if (read === undefined || read.length === 64) short++;
    else if (findCapability(read, CAPABILITY.EXP) !== undefined && findCapability(read, id, true) !== undefined) able++;
  }
  if (able > 0) return yes(`${able} ${able === 1 ? one : many}: ${so}`);
  return short > 0 ? yes(`which of ${countOf(short, 'function')} it concerns needs root to be read`) : no(`no ${one}`);
}

function countOf(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`;
}

function hex4(value: number): string {
  return value.toString(16).padStart(4, '0');
}
