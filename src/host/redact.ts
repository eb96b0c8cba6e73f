import { redactConfig, redactIdentify } from './redact-bytes.ts';
import { learnFromLog, redactLog, redactProgram } from './redact-log.ts';
import {
  redactCmdline,
  redactDevice,
  redactKernelConfig,
  redactMounts,
  redactRoutes4,
  redactRoutes6,
  redactStatus,
  redactSwaps,
} from './redact-texts.ts';
import { Words } from './redact-words.ts';
import {
  type Answer,
  bytesOf,
  type Content,
  contentOf,
  fromBase64,
  isRefused,
  type Place,
  placeOf,
  type Snapshot,
  toBase64,
} from './snapshot.ts';

/** Places that a redacted record has: what is anywhere else may be about anything. */
const KEPT =
  /^\/(sys(\/|$)|dev(\/|$)|boot\/config-|proc(\/(\d+|self|cmdline|cpuinfo|meminfo|iomem|ioports|interrupts|modules|swaps|mounts|version|net|sys)(\/|$)|$)|etc\/modprobe\.d$)/;
/** Files whose whole content identifies. */
const IDENTITY =
  /\/(\w*serial\w*|\w*uuid|\w*asset_tag|wwid|nguid|eui|unique_id|net\/[^/]+\/(perm_)?address|subsysnqn|hostnqn|hostid|ifalias|phys_(switch|port)_(id|name)|boot_id|dm\/name|hostname|domainname|vpd\w*|duid|firmware_node\/\w+)$/;

/** Tables of ACPI that describe the machine; others hold keys of licences. */
const TABLES = /^\/sys\/firmware\/acpi\/tables\/(DMAR|IVRS|VIOT|MCFG|APIC|SRAT|SLIT|HMAT|IORT|CEDT)\d*$/;

/**
 * The record without what identifies people and machines: MAC and network addresses, serial numbers, UUIDs, names of hosts,
 * users, volumes and mount points, labels, routes, other boot options, programs, lines of the log about other things. The same value has
 * the same placeholder everywhere, so what belongs together still does. What is at a place that is not known to be harmless is
 * left out. Names of devices, drivers, modules and firmware stay.
 */
export function redacted(snapshot: Snapshot): Snapshot {
  const words = new Words();
  learn(snapshot, words);
  const places: Snapshot['places'] = {};
  for (const [folder, names] of Object.entries(snapshot.places))
    for (const [name, place] of Object.entries(names)) {
      const path = `${folder === '/' ? '' : folder}/${name}`;
      if (!KEPT.test(path)) continue;
      const at = placeOf(redactPath(path, words));
      const into = places[at.folder] ?? {};
      into[at.name] = redactPlace(path, place, words);
      places[at.folder] = into;
    }
  const { log, interfaces, kvm } = snapshot;
  return {
    ...snapshot,
    redacted: true,
    places: sortedKeys(places, (names) => sortedKeys(names, (place) => place)),
    ...(log === undefined ? {} : { log: answer(log, words, (lines) => lines && redactLog(lines, words)) }),
    ...(interfaces === undefined
      ? {}
      : {
          interfaces: answer(interfaces, words, (links) =>
            links.map((link) => ({
              ...link,
              name: words.interface(link.name),
              mac: words.mac(link.mac),
              vfs: link.vfs.map((vf) => ({ ...vf, mac: words.mac(vf.mac) })),
            })),
          ),
        }),
    ...(kvm === undefined ? {} : { kvm: answer(kvm, words, (told) => ({ ...told, because: words.text(told.because) })) }),
    nvme: snapshot.nvme.map((one) => ({
      ...one,
      answer: answer(one.answer, words, ({ base64, ...rest }) => ({
        ...rest,
        base64: toBase64(redactIdentify(one.command, fromBase64(base64), words)),
      })),
    })),
    // Help texts of QEMU; what any other program says is not known.
    programs: snapshot.programs
      .filter(({ argv }) => argv.every((word) => /^(qemu-system-\w+|-h|-machine|-accel|-device|help|[\w-]+,help)$/.test(word)))
      .map((one) => ({
        ...one,
        answer: answer(one.answer, words, (ran) => ({ ...ran, stdout: words.text(ran.stdout), stderr: words.text(ran.stderr) })),
      })),
  };
}

/** What distributions and developers write behind the version of a kernel; other words there are those of whoever built it. */
const PLAIN_RELEASE =
  /^(generic|lowlatency|oem|hwe|cloud|server|desktop|virtual|default|custom|standard|stable|mainline|vanilla|hardened|gentoo|arch|zen|lts|fedora|rhel|centos|rocky|ubuntu|deb|debian|suse|slack|void|alpine|nixos|proxmox|pve|bpo|amd|arm|x86|aarch|ppc|azure|aws|gcp|oracle|kvm|microsoft|wsl|raspi|realtime|preempt|dirty|next|yocto|git|rc|fc|el|elrepo|uek|cachyos|xanmod|liquorix|tkg|clear|linux|debug|test)$/i;

/** Names that can stand in any text are known before the first text is read. */
function learn(snapshot: Snapshot, words: Words): void {
  const hosts = new Set<string>();
  if (Array.isArray(snapshot.modules)) for (const module of snapshot.modules) words.modules.add(module);
  for (const [folder, names] of Object.entries(snapshot.places))
    for (const [name, { content, list }] of Object.entries(names)) {
      const path = `${folder === '/' ? '' : folder}/${name}`;
      const text = content !== undefined && content !== null && 'text' in content ? content.text.trim() : '';
      if (/\/(hostname|domainname)$/.test(path) && text !== '' && text !== '(none)')
        for (const part of new Set([text, ...text.split('.')])) if (part !== 'localhost') hosts.add(part);
      if (path === '/proc/sys/kernel/osrelease')
        for (const [part, word] of text.matchAll(/([a-z]{3,})\d*/gi)) if (!PLAIN_RELEASE.test(word!)) hosts.add(part);
      if (/\/dm\/(name|uuid)$/.test(path) && text !== '') words.everywhere('name', text);
      if (Array.isArray(list) && /\/net$/.test(path)) for (const one of list) words.interface(one);
      if (Array.isArray(list) && path === '/home') for (const one of list) words.everywhere('user', one);
    }
  // A host that is called as the kernel calls something is nobody's in particular.
  const kernels = new Set([...words.modules, ...Object.keys(snapshot.places).flatMap((folder) => folder.split('/'))]);
  for (const host of hosts) if (!kernels.has(host)) words.everywhere('name', host);
  if (Array.isArray(snapshot.log)) learnFromLog(snapshot.log, words);
  if (Array.isArray(snapshot.interfaces)) for (const { name } of snapshot.interfaces) words.interface(name);
}

function redactPlace(path: string, place: Place, words: Words): Place {
  const { content, parts, link, list, exists, claimed } = place;
  const names = (all: string[] | null) =>
    all && [...new Set(all.map((name) => placeOf(redactPath(`${path}/${name}`, words)).name))].sort();
  return {
    ...(content === undefined ? {} : { content: answer(content, words, (one) => one && redactContent(path, one, words)) }),
    ...(parts === undefined
      ? {}
      : {
          parts: parts.map((part) => ({
            ...part,
            answer: answer(part.answer, words, (one) => one && redactContent(path, one, words)),
          })),
        }),
    ...(link === undefined ? {} : { link: answer(link, words, (to) => to && redactTarget(path, to, words)) }),
    ...(list === undefined ? {} : { list: answer(list, words, names) }),
    ...(exists === undefined ? {} : { exists: answer(exists, words, (is) => is) }),
    ...(claimed === undefined ? {} : { claimed: answer(claimed, words, (is) => is) }),
  };
}

/** Interfaces stand below `net`, volumes below /dev and btrfs; any other component may still have the form of an identifier. */
function redactPath(path: string, words: Words): string {
  if (path.startsWith('/dev/')) return redactDevice(path, words);
  if (path.startsWith('/etc/modprobe.d/')) return `/etc/modprobe.d/${modprobeFile(placeOf(path).name, words)}`;
  const components = path.split('/');
  return components
    .map((name, n) => (isInterface(components, n) && !path.startsWith('/proc/') ? interfaceIn(name, words) : words.text(name)))
    .join('/');
}

/** The folder of an interface, `lower_NAME` and `upper_NAME` in it, and the ports of a bridge. */
function isInterface(components: readonly string[], n: number): boolean {
  const [above, before] = [components[n - 1], components[n - 2]];
  return above === 'net' || above === 'brif' || (before === 'net' && /^(lower|upper)_/.test(components[n] ?? ''));
}

function interfaceIn(name: string, words: Words): string {
  const [, before = '', rest = name] = /^((?:lower|upper)_)(.+)$/.exec(name) ?? [];
  return before + words.interface(rest);
}

function modprobeFile(name: string, words: Words): string {
  return /^[\w.-]*(vfio|kvm|iommu|blacklist|nvidia|nouveau|amdgpu|radeon|i915|zfs|pve|qemu|sriov|mlx|ixgbe|igb|local)[\w-]*\.conf$/.test(
    name,
  ) && !/\d{3}/.test(name)
    ? words.text(name)
    : `${words.of('name', name.replace(/\.conf$/, ''))}.conf`;
}

function redactTarget(path: string, target: string, words: Words): string {
  if (/^\/proc\/\d+\/(fd\/\d+|exe|cwd|root)$/.test(path))
    return target.startsWith('/dev/') ? redactDevice(target, words) : '(no device)';
  if (path.startsWith('/dev/')) return redactDevice(target, words);
  return redactPath(target, words);
}

function redactContent(path: string, content: Content, words: Words): Content {
  if ('base64' in content) {
    if (/^\/sys\/.*\/config$/.test(path)) return contentOf(redactConfig(bytesOf(content), words));
    return TABLES.test(path) ? content : { text: '' };
  }
  if (/^\/sys\/.*\/config$/.test(path)) return contentOf(redactConfig(bytesOf(content), words));
  return { text: redactText(path, content.text, words) };
}

function redactText(path: string, text: string, words: Words): string {
  if (path === '/proc/cmdline') return redactCmdline(text, words);
  if (/^\/proc\/\w+\/mountinfo$/.test(path)) return redactMounts(text, words);
  if (path === '/proc/swaps') return redactSwaps(text, words);
  if (path === '/proc/net/route') return redactRoutes4(text, words);
  if (path === '/proc/net/ipv6_route') return redactRoutes6(text, words);
  if (path.startsWith('/proc/net/') || /^\/proc\/(\d+|self)\/(cmdline|environ|cgroup|maps)$/.test(path)) return '';
  if (/^\/proc\/\w+\/status$/.test(path)) return redactStatus(text);
  if (path === '/proc/version') return words.text(text.replace(/\([^()]*@[^()]*\)/, '(user@host)'));
  if (path.startsWith('/boot/config-')) return redactKernelConfig(text);
  if (/^\/proc\/\d+\/comm$/.test(path)) return text.replace(/^.+$/m, (name) => redactProgram(name, words));
  if (path === '/proc/cpuinfo') return text.replace(/^serial.*\n?/gim, '');
  if (IDENTITY.test(path)) {
    const value = text.trim();
    if (value === '') return text;
    const kind = /\/(dm\/(name|uuid)|\w*(host|domain)name)$/.test(path) ? 'name' : 'serial';
    return text.replace(value, /^([0-9a-f]{2}:)+[0-9a-f]{2}$/i.test(value) ? words.mac(value) : words.of(kind, value));
  }
  return words.text(text);
}

function answer<T, R>(given: Answer<T>, words: Words, change: (value: T) => R): Answer<R> {
  if (!isRefused(given)) return change(given);
  const { refused, subject, errno } = given;
  const about = subject.startsWith('/') ? redactPath(subject, words) : words.text(subject);
  return { refused: words.text(refused), subject: about, ...(errno === undefined ? {} : { errno }) };
}

function sortedKeys<T, R>(record: Readonly<Record<string, T>>, form: (value: T) => R): Record<string, R> {
  return Object.fromEntries(
    Object.entries(record)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, value]) => [key, form(value)]),
  );
}
