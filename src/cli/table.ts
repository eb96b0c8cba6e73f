import type { OptionSpec } from './command.ts';

/** Options that every verb has. */
export const GLOBALS: Readonly<Record<'help' | 'version' | 'json' | 'root' | 'host' | 'state', OptionSpec>> &
  Readonly<Record<string, OptionSpec>> = {
  json: { help: "print the report as JSON; 'sluice schema' describes it" },
  root: { help: 'read the host below this folder instead of /', value: 'DIR' },
  host: { help: "read this record instead of the machine: a snapshot, or lspci:FILE for lspci's text", value: 'FILE' },
  state: { help: 'where journals are kept (root: /var/lib/sluice; else $XDG_STATE_HOME/sluice)', value: 'DIR' },
  help: { help: 'say what this verb does', short: 'h' },
  version: { help: 'print the version', short: 'V' },
};

/** Every verb, as `CommandSpec` (a plain constant, so that its types are known). Its work is in the file that `verbs.ts` names. */
export const COMMANDS = {
  inspect: {
    summary: 'Show remapping units, IOMMU groups, devices and SR-IOV, and what each device could be used for.',
    description: ['Reads only. What may not be read is said, not guessed; more can be read as root.'],
    positionals: [],
    options: {
      device: { help: 'everything about the function at this address', value: 'BDF' },
      group: { help: 'only this IOMMU group', value: 'NUMBER' },
    },
    examples: [
      ['sluice inspect', 'the whole host'],
      ['sluice inspect --device 0000:3b:00.0', 'one function and its group'],
      ['sluice inspect --group 14', 'one group'],
      ['sluice inspect --json | jq .units', 'the same as data'],
    ],
  },
  groups: {
    summary: 'Show IOMMU groups, why devices share one, and what the groups would be on a changed machine.',
    description: [
      "The kernel's own groups are shown, and held against those computed from the PCI topology as the kernel computes them. Reads only.",
      'Where the bytes that decide are not readable the answer is unknown, with the reason.',
      '--if takes vfs=BDF=N, acs=BDF=on or =off, ari=off and move=BDF=BRIDGE; several with commas. A move takes the whole device.',
      'The exit code is 1 when the kernel shows devices apart that can reach each other.',
    ],
    positionals: [{ name: 'device', help: 'functions to tell about; two of them with --why', optional: true, rest: true }],
    options: {
      why: { help: 'name what joins the two functions, or what keeps them apart' },
      if: { help: 'suppose a change first, as vfs=01:00.0=4', value: 'CHANGES' },
    },
    examples: [
      ['sluice groups', 'every group, the joined ones with their reason'],
      ['sluice groups --why 01:00.0 02:00.0', 'what makes these two share a group, or not'],
      ['sluice groups --if vfs=01:00.0=4', 'the groups once four VFs exist'],
      ['sluice groups --if acs=00:1c.0=on,move=02:00.0=00:1d.0', 'the groups with ACS on one port, and a card behind another'],
      ['sluice groups --host lspci:posted.txt', 'the groups of a machine that somebody posted'],
    ],
  },
  check: {
    summary: 'Go through the known problems of passthrough: on this host, for a device, for a VM, or in a log.',
    description: [
      'Every problem has its question, what was read, and what to do, safest first. Reads only.',
      'The exit code is 1 when a problem was found that does more harm than to cost speed.',
      'Some messages of logs stand for several problems. With --log and --host, or --root / for this machine, the state of that host decides between them.',
    ],
    positionals: [
      { name: 'target', help: 'the address of a function, or the file that describes a VM', optional: true, completes: 'spec' },
    ],
    options: {
      log: { help: 'look in these lines instead (kernel, QEMU, libvirt, DPDK); - is standard input', value: 'FILE' },
      for: { help: 'all that this appliance asks of a host', choices: ['xrd-vrouter'] },
      all: { help: 'also show what passed and what does not apply' },
    },
    examples: [
      ['sluice check', 'the whole host'],
      ['sluice check 0000:3b:00.0', 'one function'],
      ['sluice check demo.yaml', 'what a VM needs'],
      ['dmesg | sluice check --log -', 'what the messages mean'],
      ['sluice check --log qemu.log --host host.json.gz', 'the same, decided by the state of the host'],
      ['sluice check --for xrd-vrouter', 'whether this host can run it'],
    ],
  },
  snapshot: {
    summary: 'Record what Sluice reads of this host in one file, to look at it elsewhere or to attach it to a report.',
    description: ["Reads only. 'sluice inspect --host FILE' and every other reading verb take the file."],
    positionals: [],
    options: {
      output: { help: 'the file to write; gzip-compressed JSON', value: 'FILE', short: 'o', default: 'host.json.gz' },
      redact: { help: 'leave out what identifies people and machines: MAC addresses, serial numbers, names, disk ids' },
    },
    examples: [['sudo sluice snapshot -o host.json.gz --redact', 'for a bug report']],
  },
  'decode config': {
    summary: 'Tell what stands in configuration space: a raw file, or the text of lspci -x, -xxx or -xxxx.',
    description: ['What is broken is told with its offset, and the rest is still decoded.'],
    positionals: [{ name: 'file', help: 'the file; - is standard input', completes: 'file' }],
    options: {},
    examples: [['sluice decode config /sys/bus/pci/devices/0000:00:1f.0/config', 'the function at 00:1f.0']],
  },
  'decode dmar': {
    summary: 'Tell what stands in an ACPI DMAR table.',
    description: ['What is broken is told with its offset, and the rest is still decoded.'],
    positionals: [{ name: 'file', help: 'the file; - is standard input', completes: 'file' }],
    options: {},
    examples: [['sluice decode dmar /sys/firmware/acpi/tables/DMAR', 'the table of a file']],
  },
  'decode ivrs': {
    summary: 'Tell what stands in an ACPI IVRS table.',
    description: ['What is broken is told with its offset, and the rest is still decoded.'],
    positionals: [{ name: 'file', help: 'the file; - is standard input', completes: 'file' }],
    options: {},
    examples: [['sluice decode ivrs ivrs.bin', 'the table of a file']],
  },
  'decode mcfg': {
    summary: 'Tell what stands in an ACPI MCFG table.',
    description: ['What is broken is told with its offset, and the rest is still decoded.'],
    positionals: [{ name: 'file', help: 'the file; - is standard input', completes: 'file' }],
    options: {},
    examples: [['sluice decode mcfg mcfg.bin', 'the table of a file']],
  },
  'decode viot': {
    summary: 'Tell what stands in an ACPI VIOT table.',
    description: ['What is broken is told with its offset, and the rest is still decoded.'],
    positionals: [{ name: 'file', help: 'the file; - is standard input', completes: 'file' }],
    options: {},
    examples: [['sluice decode viot viot.bin', 'the table of a file']],
  },
  'decode fault': {
    summary: 'Tell what a fault line of the kernel log means: VT-d in old and new words, and AMD-Vi.',
    description: ['Device, kind, address, reason, PASID, what it usually means, and what to look at next.'],
    positionals: [{ name: 'line', help: 'the line, quoted; - reads lines from standard input' }],
    options: {},
    examples: [['dmesg | sluice decode fault -', 'every fault in the log']],
  },
  plan: {
    summary: 'Show the ordered steps that a VM spec needs on this host, or why it cannot be done.',
    description: [
      'Changes nothing. Prints every write with its old and its new value, the QEMU command line, and the rights that are needed.',
      'A spec that this host cannot serve is refused with the reason and what was read; then the exit code is 1.',
    ],
    positionals: [{ name: 'spec', help: 'the file that describes the VM', completes: 'spec' }],
    options: {},
    examples: [['sluice plan demo.yaml', 'what apply would do']],
  },
  apply: {
    summary: 'Do what plan shows, journalled, and start the guest.',
    description: [
      'Before each change the old value is written to the journal and synced to disk. A step that fails undoes those before it.',
      'After a crash, revert puts everything back.',
    ],
    positionals: [{ name: 'spec', help: 'the file that describes the VM', completes: 'spec' }],
    options: {},
    examples: [['sudo sluice apply demo.yaml', 'prepare the devices and start the guest']],
  },
  verify: {
    summary: 'Prove that the devices of an applied VM work: DMA, interrupts, isolation.',
    description: ['Prints what was seen for each proof. What could not be proven makes the exit code 1.'],
    positionals: [{ name: 'name', help: 'the name of an applied VM' }],
    options: {},
    examples: [['sudo sluice verify demo', 'prove that demo has its devices']],
  },
  revert: {
    summary: 'Stop the guest and restore every value that apply changed.',
    description: ['Works from the journal, also after a crash of apply or of the host. A second revert changes nothing.'],
    positionals: [{ name: 'name', help: 'the name of an applied VM' }],
    options: {},
    examples: [['sudo sluice revert demo', 'stop demo and put everything back']],
  },
  status: {
    summary: 'List the applied VMs.',
    description: [],
    positionals: [],
    options: {},
    examples: [['sluice status', 'every VM with a journal, and how far it is']],
  },
  'lab setup': {
    summary: "Fetch the lab's packages and unpack them privately; nothing of the system is changed.",
    description: ['A second run uses what the first one fetched, and needs no network.'],
    positionals: [],
    options: {
      flavour: {
        help: 'backports: the newest QEMU and kernel of the distribution; stock: its own',
        choices: ['backports', 'stock'],
        default: 'backports',
      },
      refresh: { help: 'look for newer packages although a lab is there' },
    },
    examples: [['sluice lab setup', 'once; about 200 MB in the cache folder of the user']],
  },
  'lab run': {
    summary: 'Boot the lab machine, run a command in it, and end with its exit code.',
    description: [
      'The machine has a VT-d unit, an SR-IOV network card and an SR-IOV NVMe controller. It sees the files of this machine; what it writes stays in memory and is gone at the end.',
    ],
    positionals: [{ name: 'command', help: 'program and arguments', rest: true }],
    options: {
      flavour: {
        help: 'backports: the newest QEMU and kernel of the distribution; stock: its own',
        choices: ['backports', 'stock'],
        default: 'backports',
      },
      devices: { help: 'what the machine has; all that its QEMU can do when left out', choices: ['igb+nvme', 'nvme'] },
      timeout: { help: 'how long the command may take, booting not counted', value: 'TIME', default: '10min' },
      console: { help: "also show the machine's console, on standard error" },
    },
    examples: [
      ['sluice lab run -- sluice inspect', 'look at the lab machine'],
      ['sluice lab run -- ls /sys/kernel/iommu_groups', 'any command'],
    ],
  },
  'lab shell': {
    summary: 'Boot the lab machine and give a shell in it.',
    description: [],
    positionals: [],
    options: {
      flavour: {
        help: 'backports: the newest QEMU and kernel of the distribution; stock: its own',
        choices: ['backports', 'stock'],
        default: 'backports',
      },
      devices: { help: 'what the machine has; all that its QEMU can do when left out', choices: ['igb+nvme', 'nvme'] },
    },
    examples: [['sluice lab shell', 'look around; leave with exit, or with Ctrl-] when it hangs']],
  },
  'lab status': {
    summary: 'Show what the lab has and what it lacks.',
    description: [],
    positionals: [],
    options: {},
    examples: [['sluice lab status', 'QEMU, kernel, packages, and whether the NIC is there']],
  },
  'lab demo': {
    summary: 'Boot the lab machine and run inspect, plan, apply, verify and revert in it.',
    description: ['The same commands as on a real host, on a real kernel, with a report at the end.'],
    positionals: [],
    options: {
      flavour: {
        help: 'backports: the newest QEMU and kernel of the distribution; stock: its own',
        choices: ['backports', 'stock'],
        default: 'backports',
      },
    },
    examples: [['sluice lab demo', 'the whole way, in about a minute']],
  },
  schema: {
    summary: 'Print a JSON Schema: of the VM spec, or of what a verb prints with --json.',
    description: [],
    positionals: [{ name: 'name', help: 'which one; spec when left out, list to see them all', optional: true }],
    options: {},
    examples: [
      ['sluice schema > vm.schema.json', 'for an editor that checks the spec while it is written'],
      ['sluice schema list', 'what there is'],
      ['sluice schema inspect', 'what inspect --json prints'],
    ],
  },
  completion: {
    summary: 'Print a completion script for a shell.',
    description: [],
    positionals: [{ name: 'shell', help: 'bash, zsh or fish', choices: ['bash', 'zsh', 'fish'] }],
    options: {},
    examples: [['source <(sluice completion bash)', 'in ~/.bashrc']],
  },
  man: {
    summary: 'Print the manual page, in roff.',
    description: [],
    positionals: [],
    options: {},
    examples: [['sluice man | man -l -', 'read it']],
  },
} as const;

/** What the verbs of a group have in common. */
export const GROUPS: Readonly<Record<string, string>> = {
  decode: 'Raw bytes and log lines in words.',
  lab: 'A machine with an IOMMU and SR-IOV devices, under software emulation, with a real kernel.',
};
