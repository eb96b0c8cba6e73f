/**
 * Values of an option on the kernel's command line, in their order: `intremap=nosid,off` has `nosid` and `off`. The kernel
 * takes `-` for `_`, keeps blanks inside double quotes, and leaves what follows `--` to init.
 * Source: Linux Documentation/admin-guide/kernel-parameters.rst.
 */
export function optionValues(cmdline: string, name: string): string[] {
  const plain = (text: string) => text.replaceAll('-', '_');
  const found: string[] = [];
  for (const word of cmdline.match(/(?:"[^"]*"|[^\s"])+/g) ?? []) {
    if (word === '--') break;
    const unquoted = word.replaceAll('"', '');
    const equals = unquoted.indexOf('=');
    if (plain(equals < 0 ? unquoted : unquoted.slice(0, equals)) !== plain(name)) continue;
    found.push(...(equals < 0 ? [''] : unquoted.slice(equals + 1).split(',')));
  }
  return found;
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
