import type { Words } from './redact-words.ts';

/** Options of the kernel that are about devices, memory and processors: their values identify nobody. */
const PLAIN_OPTION =
  /^(iommu|intel_iommu|amd_iommu\w*|ivrs_\w+(\[[^\]]*\])?|intremap|nointremap|pci|pcie_\w+|pci_\w+|vfio[\w.]*|vfio_pci\.ids|kvm[\w.]*|default_hugepagesz|hugepages|hugepagesz|isolcpus|nohz\w*|rcu_nocbs|module_blacklist|modprobe\.blacklist|rd\.driver\.(pre|blacklist)|video|vga|console|mitigations|swiotlb|efi|acpi\w*|irqaffinity|maxcpus|mem|cma|intel_pstate|amd_pstate|processor\.\w+|i915\.\w+|nouveau\.\w+|amdgpu\.\w+|xe\.\w+|nvidia[\w.-]*|iommu\.\w+|initcall_blacklist|cgroup_\w+|systemd\.unified_cgroup_hierarchy|transparent_hugepage|numa\w*|lockdown|x2apic\w*|apic|no_timer_check|tsc|clocksource|preempt|loglevel|panic|reboot|rootfstype|fsck\.mode|psi|nosmt|nopti|kpti|noapic|nox2apic|noiommu|spec\w+|l1tf|mds)$/i;
/** Further options whose names are told, and their values only in a form that any option may have. */
const PLAIN_NAME =
  /^(quiet|splash|rhgb|debug|single|text|emergency|rescue|ro|rw|root|rootwait|rootdelay|rootflags|resume|resume_offset|noresume|init|initrd|BOOT_IMAGE|ip|nfsroot|crashkernel|security|selinux|apparmor|lsm|audit|nomodeset|nokaslr|nopti|nosmp|nofb|noefi|nopat|nolapic|nowatchdog|nosoftlockup|nmi_watchdog|threadirqs|skew_tick|ignore_loglevel|earlyprintk|keep_bootcon|plymouth\.[\w.-]+|net\.ifnames|biosdevname|rd\.[a-z_.]+|systemd\.[a-z_]+|--)$/i;
/** A value that could stand behind any option. */
const PLAIN_VALUE = /^(on|off|yes|no|y|n|auto|force|none|true|false|\d{1,6}[KMG]?|[0-9,-]{1,40})$/i;

/**
 * The command line with each option in its place, and no value that names a disk, a host, an address or a user. Words that the
 * kernel does not know may be anybody's: of them the place alone is left. Parameters of modules that are loaded are known.
 */
export function redactCmdline(line: string, words: Words): string {
  return line.replace(/(?:"[^"]*"|[^\s"])+/g, (word) => {
    const equals = word.indexOf('=');
    const name = (equals < 0 ? word : word.slice(0, equals)).replaceAll('-', '_');
    if (PLAIN_OPTION.test(name)) return words.text(word);
    const plain = PLAIN_NAME.test(word.slice(0, equals < 0 ? undefined : equals)) || words.modules.has(name.split('.')[0]!);
    if (!plain) return 'redacted';
    if (equals < 0) return word;
    return PLAIN_VALUE.test(word.slice(equals + 1)) ? word : `${name}=redacted`;
  });
}

/** Folders that every system has. */
const PLAIN_FOLDER =
  /^(boot|efi|esp|usr|var|lib|log|tmp|opt|srv|home|mnt|media|root|run|etc|nix|store|sysroot|ostree|libvirt|images|qemu|swap|local|cache|spool|share|dev|proc|sys|vm|vms|data|storage|docker|containers|overlay2|snap|nvme|disk|backup)$/;

export function redactFolder(path: string, words: Words): string {
  return path
    .split('/')
    .map((name) => (name === '' || PLAIN_FOLDER.test(name) ? name : words.of('name', name)))
    .join('/');
}

/** Names of devices that the kernel and udev give to every machine, below /dev. */
const PLAIN_DEVICE =
  /^(dev|mapper|disk|by-[a-z]+|block|char|vfio|devices|vfio\d+|\d+(:\d+)?|kvm|null|zero|full|random|urandom|tty\w{0,6}|pts|ptmx|shm|net|tun|vhost-net|iommu|kmsg|input|event\d+|rtc\d*|fuse|hpet|nvram|nvme[\dc]+(n\d+)?(p\d+)?|[shv]d[a-z]{1,3}\d*|xvd[a-z]\d*|mmcblk\d+(p\d+)?|(md|dm-|loop|zd|nbd|sr|ram|zram|bcache|rbd)\d+(p\d+)?|md\d*p?\d*|control|nvme-fabrics)$/;

/** A path below /dev: what a person or a label named is replaced, component by component. */
export function redactDevice(path: string, words: Words): string {
  return path
    .split('/')
    .map((name) => (name === '' || name === '..' || PLAIN_DEVICE.test(name) ? name : words.of('name', name)))
    .join('/');
}

/** Paths in a text: below /dev and in any other place that people name, the names are replaced. */
export function redactPaths(text: string, words: Words): string {
  return text.replace(/(?<![\w./:)\]>*-])\/[^\s/"'<>,;()[\]]+(?:\/[^\s/"'<>,;()[\]]+)+/g, (path) => {
    if (/^\/(sys|proc)\//.test(path)) return path;
    const [, whole = path, end = ''] = /^(.*?)([.:]*)$/.exec(path) ?? [];
    return (whole.startsWith('/dev/') ? redactDevice(whole, words) : redactFolder(whole, words)) + end;
  });
}

/** Rows of mountinfo that are about a block device, with number, place, type and source alone. Source: proc(5). */
export function redactMounts(text: string, words: Words): string {
  return rows(text, (line) => {
    const [left = '', right = ''] = line.split(' - ');
    const [id = '', parent = '', number = '', , place = ''] = left.split(' ');
    const [type = '', source = ''] = right.split(' ');
    const unescaped = source.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
    if (!source.startsWith('/dev/') && (!/^\d+:\d+$/.test(number) || number.startsWith('0:'))) return undefined;
    const device = source.startsWith('/dev/') ? redactDevice(unescaped, words) : 'none';
    return `${id} ${parent} ${number} / ${redactFolder(place, words)} rw - ${type} ${device} rw`;
  });
}

export function redactSwaps(text: string, words: Words): string {
  return rows(text, (line, n) => {
    if (n === 0) return line;
    const [device = '', ...rest] = line.split(/\s+/);
    return device.startsWith('/dev/') ? [redactDevice(device, words), ...rest.slice(0, 1), '0', '0', '0'].join(' ') : undefined;
  });
}

/** The default route alone, with its interface. Columns of /proc/net/route: destination 1, gateway 2, flags 3, mask 7. */
export function redactRoutes4(text: string, words: Words): string {
  return rows(text, (line, n) => {
    if (n === 0) return line;
    const columns = line.split(/\s+/);
    if (columns[1] !== '00000000' || columns[7] !== '00000000') return undefined;
    columns[0] = words.interface(columns[0] ?? '');
    columns[2] = '00000000';
    return columns.join('\t');
  });
}

/** The same of /proc/net/ipv6_route: next hop 4, interface 9. */
export function redactRoutes6(text: string, words: Words): string {
  return rows(text, (line) => {
    const columns = line.trim().split(/\s+/);
    if (!/^0{32}$/.test(columns[0] ?? '') || columns[1] !== '00') return undefined;
    columns[2] = '0'.repeat(32);
    columns[4] = '0'.repeat(32);
    columns[9] = words.interface(columns[9] ?? '');
    return columns.join(' ');
  });
}

/** The user is root or not; which one is left out. */
export function redactStatus(text: string): string {
  const uid = /^Uid:\s+\d+\s+(\d+)/m.exec(text)?.[1];
  const user = uid === '0' ? '0' : '1000';
  return uid === undefined ? '' : `Uid:\t${user}\t${user}\t${user}\t${user}\n`;
}

/** Options of the kernel's build, but for texts: names, paths and keys of whoever built it. */
export function redactKernelConfig(text: string): string {
  return rows(text, (line) => (/^(# )?CONFIG_\w+(=([ymn]|-?\d+|0x[0-9a-f]+)| is not set)$/i.test(line) ? line : undefined));
}

/** Each line as `change` gives it; undefined leaves it out. */
function rows(text: string, change: (line: string, number: number) => string | undefined): string {
  return text
    .split('\n')
    .flatMap((line, n) => (line === '' ? [line] : (change(line, n) ?? [])))
    .join('\n');
}
