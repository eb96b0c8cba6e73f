import type { KernelLine } from './host.ts';
import { redactCmdline, redactPaths } from './redact-texts.ts';
import type { Words } from './redact-words.ts';

/**
 * Lines about disks, users, networks, keys and what is plugged in by people: nothing of passthrough is in them. Another computer
 * on a Thunderbolt cable is printed with its name.
 */
const OTHERS_BUSINESS =
  /^(usb |hub |hid|input:|scsi|sd |sr |ata\d|EXT4-fs|XFS|BTRFS|F2FS|FAT-fs|NFS|CIFS|audit|systemd|Bluetooth|wlan|cfg80211|IPv6|IPVS|bond|br\d|device-mapper|md|loop|zram|random|Key |integrity|tpm|logitech|Loaded X\.509|Problem loading|MODSIGN|X\.509|ima:|evm:|thunderbolt \w+-\w+: (?!new )|\w+\[\d+\])|\bHID v\d/;
const BUSINESS =
  /iommu|dmar|amd-vi|vt-d|ivrs|ivhd|vfio|kvm|\bpci|[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]|apic|remap|\birq|\bmsi|acpi|\bacs\b|\bats\b|sr-?iov|\bvfs?\b|bar \d|mcfg|ecam|swiotlb|hugetlb|memory|lockdown|secure ?boot|command line|linux version|\befi|smbios|dmi:|numa|e820|reserved|firmware|\bfb\b|fb\d|framebuffer|vga|drm|i915|nouveau|nvidia|amdgpu|nvme|thunderbolt|vmd|tsm|sev|snp|tdx|sgx|dma|aer|edac|mce|qemu|hypervisor|virtio|\[(mem|io) /i;

/** Lines of the kernel that are about devices, each without what identifies. */
export function redactLog(log: readonly KernelLine[], words: Words): KernelLine[] {
  return log
    .filter(({ text }) => BUSINESS.test(text) && !OTHERS_BUSINESS.test(text))
    .map(({ text, ...line }) => ({ ...line, text: redactLine(text, words) }));
}

/** Names of interfaces that lines of the kernel tell: what an interface was called before, and ports of bridges. */
export function learnFromLog(log: readonly KernelLine[], words: Words): void {
  for (const { text } of log)
    for (const pattern of [
      /(?:^| )([a-z][\w.-]{0,14}): renamed from ([a-z][\w.-]{0,14})\b/i,
      /: port \d+\(([a-z][\w.-]{0,14})\)/i,
      /(?:^|device )([a-z][\w.-]{0,14}):? (?:entered|left) promiscuous mode/i,
    ])
      for (const name of pattern.exec(text)?.slice(1) ?? []) words.interface(name);
}

/** Programs that any machine runs; others may be called after whoever wrote or runs them. */
const PLAIN_PROGRAM =
  /^((swapper|kworker|ksoftirqd|migration|irq)\/\S*|rcu_\w+|kthreadd|khugepaged|kswapd|(systemd|qemu-system|vhost|containerd)-\w+|\(?udev-worker\)?|CPU \d+\/KVM|(init|systemd|modprobe|insmod|rmmod|libvirtd|virtqemud|virtlogd|qemu|qemu-kvm|kvm|vhost|testpmd|dpdk-testpmd|vpp|vpp_main|ovs-vswitchd|cloud-hypervis|firecracker|dockerd|containerd|runc|kubelet|Xorg|Xwayland|gnome-shell|kwin_x11|kwin_wayland|bash|sh|dash|zsh|fish|sudo|su|sshd|cat|dd|echo|tee|cp|mount|umount|swapon|lspci|setpci|nvme|ethtool|ip|NetworkManager|python|perl|node|java|sluice)[\d/:.+_#-]*)$/;

/** A program by the name that the kernel knows it by. */
export function redactProgram(name: string, words: Words): string {
  return name === '' || PLAIN_PROGRAM.test(name) ? words.text(name) : words.of('name', name);
}

/** Names of hosts that have a domain, but for those that the kernel's own messages name. */
const HOST_WITH_DOMAIN =
  /(?<![\w.@/-])(?!(?:[\w-]+\.)*(?:kernel|freedesktop|qemu)\.org)(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+(?:com|org|net|edu|gov|local|lan|localdomain|internal|intern|intranet|home|corp|de|uk|fr|eu|nl|ch|se|pl|jp|cn|ru|br|au|ca)(?![\w-]|\.\w)/gi;

function redactLine(text: string, words: Words): string {
  const line =
    /^(.*command line(?: is)?: ?)(.*)()$/i.exec(text) ?? /^(Unknown kernel command line parameters ")([^"]*)(".*)$/i.exec(text);
  if (line !== null) return `${line[1]}${redactCmdline(line[2]!, words)}${line[3]}`;
  const plain = redactPaths(text, words)
    .replace(/(\b(?:PART)?(?:LABEL|UUID)=)("[^"]*"|[^\s,]+)/g, '$1redacted')
    .replace(
      /(\bComm: )(.+?)(?=$| (?:Not tainted|Tainted|Kdump))/,
      (_, before: string, name: string) => before + redactProgram(name, words),
    )
    .replace(HOST_WITH_DOMAIN, (host) => words.of('name', host));
  return words.text(plain);
}
