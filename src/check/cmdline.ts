/** One word of the kernel's command line: `name=value`, or a bare name with an empty value. */
export interface BootWord {
  /** With `_` for `-`. */
  name: string;
  value: string;
  /** As it stands there, without double quotes. */
  text: string;
}

/**
 * Options on the kernel's command line in their order. The kernel takes `-` for `_`, keeps blanks inside double quotes, and
 * leaves what follows `--` to init. Source: Linux Documentation/admin-guide/kernel-parameters.rst.
 */
export function bootWords(cmdline: string): readonly BootWord[] {
  // Thousands of functions ask about one host.
  if (last?.cmdline !== cmdline) last = { cmdline, words: wordsOf(cmdline) };
  return last.words;
}

let last: { cmdline: string; words: readonly BootWord[] } | undefined;

function wordsOf(cmdline: string): BootWord[] {
  const found: BootWord[] = [];
  for (const word of cmdline.match(/(?:"[^"]*"|[^\s"])+/g) ?? []) {
    if (word === '--') break;
    const text = word.replaceAll('"', '');
    const equals = text.indexOf('=');
    const name = (equals < 0 ? text : text.slice(0, equals)).replaceAll('-', '_');
    found.push({ name, value: equals < 0 ? '' : text.slice(equals + 1), text });
  }
  return found;
}

/** Values of an option in their order: `intremap=nosid,off` has `nosid` and `off`. */
export function optionValues(cmdline: string, name: string): string[] {
  return bootWords(cmdline)
    .filter((option) => option.name === name.replaceAll('-', '_'))
    .flatMap(({ value }) => value.split(','));
}

/**
 * What the command line says about the default domain of host devices: identity, or translated; the last option counts.
 * Undefined when it says nothing. Source: Linux iommu_setup() (`iommu=`), iommu_set_def_domain_type() (`iommu.passthrough=`).
 */
export function defaultDomainOption(cmdline: string): { option: string; identity: boolean } | undefined {
  let last: { option: string; identity: boolean } | undefined;
  for (const { name, value } of bootWords(cmdline)) {
    if (name === 'iommu') {
      for (const part of value.split(',')) {
        if (part.startsWith('pt')) last = { option: 'iommu=pt', identity: true };
        if (part.startsWith('nopt')) last = { option: 'iommu=nopt', identity: false };
      }
    } else if (name === 'iommu.passthrough') {
      if (/^([1yt]|on)/i.test(value)) last = { option: `iommu.passthrough=${value}`, identity: true };
      if (/^([0nf]|of)/i.test(value)) last = { option: `iommu.passthrough=${value}`, identity: false };
    }
  }
  return last;
}

/**
 * The option that keeps the kernel from remapping DMA, as `intel_iommu=off`, or undefined.
 * Source: Linux intel_iommu_setup() (the last of `on` and `off` counts), parse_amd_iommu_options(), iommu_setup().
 */
export function iommuOffOption(cmdline: string): string | undefined {
  const off = (value: string) => value.startsWith('off');
  const intel = optionValues(cmdline, 'intel_iommu').filter((value) => off(value) || value.startsWith('on'));
  if (off(intel.at(-1) ?? '')) return 'intel_iommu=off';
  if (optionValues(cmdline, 'amd_iommu').some(off)) return 'amd_iommu=off';
  if (optionValues(cmdline, 'iommu').some(off)) return 'iommu=off';
  return undefined;
}

/**
 * The option that keeps the kernel from remapping interrupts, or undefined.
 * Source: Linux drivers/iommu/irq_remapping.c setup_irqremap(), setup_nointremap(); without I/O APIC nothing is remapped.
 */
export function interruptsOffOption(cmdline: string): string | undefined {
  const remap = optionValues(cmdline, 'intremap').filter((value) => value.startsWith('off') || value.startsWith('on'));
  if (remap.at(-1)?.startsWith('off')) return 'intremap=off';
  return ['nointremap', 'noapic'].find((name) => optionValues(cmdline, name).length > 0);
}
