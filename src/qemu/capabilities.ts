import { HostError, type Hypervisor } from '../host/host.ts';

/** One setting of a device as `-device NAME,help` prints it. */
export interface QemuOption {
  /** QEMU's word for it: `bool`, `OnOffAuto`, `uint8`, `str`, `link<iommufd>`. */
  type: string;
  /** As printed, without quotation marks; absent when QEMU prints none. A `bool` is `on` and `off`, or `true` and `false` in older ones. */
  default?: string;
  says?: string;
}

/** What the installed QEMU says it has. Plain data, so that a plan made from it can be made again elsewhere. */
export interface QemuCapabilities {
  /** The program and the arguments it always gets, such as `-L FOLDER`. */
  program: string[];
  /** To be shown to people. Nothing is decided by it: distributions add, rename and remove options within one version. */
  version: string;
  /** Command line options without their dash, each with the settings (`name=`) that its help names. */
  options: Record<string, string[]>;
  machines: string[];
  accelerators: string[];
  /** Devices that this QEMU has, with their settings. */
  devices: Record<string, Record<string, QemuOption>>;
  /** Devices that were asked for and are not there, with the words of QEMU. */
  absent: Record<string, string>;
}

/** The devices that {@link buildArgv} can ask for. */
export const DEVICES: readonly string[] = [
  'intel-iommu',
  'virtio-iommu-pci',
  'vfio-pci',
  'virtio-blk-pci',
  'virtio-serial-pci',
  'virtserialport',
];

const HELP_TIMEOUT = 60_000; // milliseconds; one help takes 20 ms on hardware, about a second in an emulated machine under load

/**
 * Asks the installed QEMU what it has, by its own help texts: options are known from `-h`, settings of a device from
 * `-device NAME,help`. Each device is asked for by itself, because `-device help` loads every module and one that does not
 * fit makes it fail.
 *
 * @param program the program, or the program with arguments that go before all others
 * @throws HostError `ENOENT` with the package to install; without errno when the program does not answer as QEMU does
 */
export async function readQemu(
  hypervisor: Pick<Hypervisor, 'run'>,
  program: string | readonly string[] = 'qemu-system-x86_64',
  devices: readonly string[] = DEVICES,
): Promise<QemuCapabilities> {
  const argv = typeof program === 'string' ? [program] : [...program];
  const name = argv[0] ?? '';
  const ask = async (...args: string[]) => {
    try {
      return await hypervisor.run([...argv, ...args], { timeout: HELP_TIMEOUT });
    } catch (error) {
      if (error instanceof HostError && error.errno === 'ENOENT') throw new HostError(name, NOT_INSTALLED, 'ENOENT');
      throw error;
    }
  };
  const help = await ask('-h');
  const version = /^QEMU emulator version (.+)$/m.exec(help.stdout)?.[1];
  if (version === undefined)
    throw new HostError(
      name,
      `does not answer -h as QEMU does: ${lastLine(help.stderr) || lastLine(help.stdout) || 'it prints nothing'}`,
    );
  const [machines, accelerators, ...texts] = await Promise.all([
    ask('-machine', 'help'),
    ask('-accel', 'help'),
    ...devices.map((device) => ask('-device', `${device},help`)),
  ]);
  const qemu: QemuCapabilities = {
    program: argv,
    version,
    options: parseHelp(help.stdout),
    machines: parseMachines(machines.stdout),
    accelerators: parseAccelerators(accelerators.stdout),
    devices: {},
    absent: {},
  };
  for (const [i, device] of devices.entries()) {
    const text = texts[i]!;
    // The exit status tells nothing: it is 0 for a device that is not there.
    const options = parseDevice(device, text.stdout);
    if (options) qemu.devices[device] = options;
    else qemu.absent[device] = lastLine(text.stderr) || lastLine(text.stdout) || `no help for ${device}`;
  }
  return qemu;
}

const NOT_INSTALLED = [
  'this program is not installed. It is in the package qemu-system-x86 of Debian and Ubuntu (apt install qemu-system-x86),',
  'qemu-system-x86-core of Fedora, qemu-x86 of openSUSE, qemu-base of Arch Linux, and qemu-kvm of RHEL (as /usr/libexec/qemu-kvm)',
].join(' ');

/** Settings of one device from `-device NAME,help`, or undefined when the text is not that device's help. */
export function parseDevice(device: string, text: string): Record<string, QemuOption> | undefined {
  const lines = text.split(/\r?\n/);
  const title = lines.indexOf(`${device} options:`);
  if (title < 0) return undefined;
  const options: Record<string, QemuOption> = {};
  for (const line of lines.slice(title + 1)) {
    // "  aw-bits=<uint8>        -  (default: 39)", "  primary-bus=<link<PCI>>"
    const match = /^ {2}([\w.-]+)=<(.*?)>(?:\s+- ?(.*))?$/.exec(line);
    if (!match) continue;
    const [, name = '', type = '', rest = ''] = match;
    const preset = /\s*\(default: (.*)\)$/.exec(rest);
    const says = (preset ? rest.slice(0, preset.index) : rest).trim();
    options[name] = {
      type,
      ...(preset ? { default: preset[1]!.replace(/^"(.*)"$/, '$1') } : {}),
      ...(says ? { says } : {}),
    };
  }
  return options;
}

/** Options of the command line from `-h`, with the names of the settings that appear in the help of each. */
export function parseHelp(text: string): Record<string, string[]> {
  const options: Record<string, Set<string>> = {};
  let current: Set<string>[] = [];
  for (const line of text.split(/\r?\n/)) {
    const title = /^-([\w-]+)(?: or -([\w-]+))?/.exec(line);
    if (title) current = [title[1], title[2]].filter((n) => n !== undefined).map((n) => (options[n] ??= new Set()));
    else if (/^\S/.test(line)) current = []; // a heading
    for (const setting of line.matchAll(/([\w.-]+)\]?=/g)) for (const names of current) names.add(setting[1]!);
  }
  return Object.fromEntries(Object.entries(options).map(([name, settings]) => [name, [...settings]]));
}

/** Names from `-machine help`, aliases such as `q35` among them. */
export function parseMachines(text: string): string[] {
  return text.split(/\r?\n/).flatMap((line) => /^(\S+) {2,}\S/.exec(line)?.[1] ?? []);
}

/** Names from `-accel help`. */
export function parseAccelerators(text: string): string[] {
  return text.split(/\r?\n/).flatMap((line) => /^([\w-]+)\s*$/.exec(line)?.[1] ?? []);
}

function lastLine(text: string): string {
  return text.trimEnd().split('\n').at(-1)?.trim() ?? '';
}
