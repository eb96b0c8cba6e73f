import type { OptionSpec } from './command.ts';

/** Options that every verb has. */
export const GLOBALS: Readonly<Record<'help' | 'version' | 'json' | 'root' | 'state', OptionSpec>> &
  Readonly<Record<string, OptionSpec>> = {
  json: { help: "print the report as JSON; 'sluice schema' describes it" },
  root: { help: 'read the host below this folder instead of /', value: 'DIR' },
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
    options: { device: { help: 'only the function at this address', value: 'BDF' } },
    examples: [
      ['sluice inspect', 'the whole host'],
      ['sluice inspect --device 0000:3b:00.0', 'one function and its group'],
      ['sluice inspect --json | jq .units', 'the same as data'],
    ],
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
  lab: 'A machine with an IOMMU and SR-IOV devices, under software emulation, with a real kernel.',
};
