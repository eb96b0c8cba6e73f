import * as z from 'zod/mini';
import { BDF_PATTERN, type Read, readAddress, readDuration, readInterface, readMac, readMemory, readPf } from './spec-units.ts';

/** A VM as its file writes it, checked but not yet converted. */
export interface WrittenVm {
  name: string;
  memory: string;
  vcpus: number;
  machine: 'q35' | 'pc';
  firmware: 'seabios' | 'ovmf';
  disk?: string | undefined;
  kernel?: string | undefined;
  initrd?: string | undefined;
  append?: string | undefined;
  iommu: 'auto' | 'none' | 'intel' | 'intel-nested' | 'virtio';
  needs: 'vfio'[];
  agent: OnOff;
  timeout: string;
  devices: WrittenDevice[];
  guests: WrittenVm[];
}

export type OnOff = 'on' | 'off' | boolean;
export interface WrittenVf {
  mac?: string | undefined;
  vlan?: number | undefined;
  trust?: OnOff | undefined;
  spoofchk?: OnOff | undefined;
  queues?: number | undefined;
  interrupts?: number | undefined;
}
export type WrittenDevice = { pf: string; vf: WrittenVf } | { address: string } | { interface: string };

/** What a JSON Schema says of a value beyond its type. */
interface Meta {
  description: string;
  pattern?: string;
  examples?: unknown[];
  title?: string;
}
const registry: z.core.$ZodRegistry<Meta> = z.registry<Meta>();

/** Text that a reader understands. `expects` is said of everything that does not fit, so it describes what to write. */
function text(expects: string, meta: Meta, read?: (text: string) => Read<unknown>): z.ZodMiniString {
  const base = z.string(expects);
  if (!read) return base.check(z.minLength(1, expects)).register(registry, meta);
  return base
    .check((payload) => {
      const result = read(payload.value);
      if ('advice' in result)
        payload.issues.push({ code: 'custom', input: payload.value, message: expects, params: { advice: result.advice } });
    })
    .register(registry, meta);
}

function whole(least: number, most: number, description: string): z.ZodMiniNumber {
  const expects = `a whole number from ${least} to ${most}`;
  return z.int(expects).check(z.gte(least, expects), z.lte(most, expects)).register(registry, { description });
}

function choice<const T extends readonly (string | boolean)[]>(values: T, description: string): z.ZodMiniLiteral<T[number]> {
  const schema = z.literal([...values], `one of ${values.join(', ')}`);
  registry.add(schema, { description });
  return schema;
}

const onOff = (description: string): z.ZodMiniLiteral<OnOff> =>
  z.literal(['on', 'off', true, false], 'on or off').register(registry, { description });

const NAME_PATTERN = '^[a-z0-9][a-z0-9._-]{0,62}$';
const readName = (name: string): Read<string> => {
  if (new RegExp(NAME_PATTERN).test(name)) return { value: name };
  const better = name
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, '-')
    .replace(/^[^a-z0-9]+/, '')
    .slice(0, 63);
  return { advice: better === '' ? '' : `for example ${better}` };
};

const Vf = z
  .strictObject(
    {
      mac: z.optional(
        text(
          'a unicast MAC address such as 52:54:00:aa:00:01',
          { description: 'MAC address that the PF sets for the VF.', pattern: '^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}$' },
          readMac,
        ),
      ),
      vlan: z.optional(whole(0, 4094, 'VLAN that the PF tags and untags for the VF; 0 is none.')),
      trust: z.optional(onOff('Whether the guest may change its own MAC address and go promiscuous.')),
      spoofchk: z.optional(onOff('Whether frames with another source address than the one set are dropped.')),
      queues: z.optional(whole(2, 65535, 'NVMe: flexible queue resources (VQ), the admin queue among them.')),
      interrupts: z.optional(whole(1, 65535, 'NVMe: flexible interrupt resources (VI).')),
    },
    'a mapping of settings, such as { mac: "52:54:00:aa:00:01", vlan: 100 }',
  )
  .register(registry, { description: 'Settings of the virtual function; what is left out stays as the device has it.' });

const ByPf = z
  .strictObject({
    pf: text(
      'a physical function: an interface such as enp3s0f0, an address such as 0000:01:00.0 or an NVMe controller such as nvme0',
      {
        description: 'The physical function: its interface, its PCI address, or its NVMe controller.',
        examples: ['enp3s0f0', 'nvme0'],
      },
      readPf,
    ),
    vf: z._default(Vf, {}),
  })
  .register(registry, { description: 'A virtual function of this physical function; it is created when there is none free.' });
const ByAddress = z
  .strictObject({
    address: text(
      'a PCI address such as 0000:01:00.0',
      { description: 'PCI address of the function.', pattern: BDF_PATTERN },
      readAddress,
    ),
  })
  .register(registry, { description: 'This very function, with its whole IOMMU group.' });
const ByInterface = z
  .strictObject({
    interface: text('a network interface such as enp3s0f0', { description: 'Network interface of the function.' }, readInterface),
  })
  .register(registry, { description: 'The function behind this network interface.' });

/** Keys of which exactly one names a device, in the order of the union's members. */
export const NAMING_KEYS: readonly string[] = ['pf', 'address', 'interface'];
const DEVICE = 'a mapping with pf, address or interface, such as { address: "0000:01:00.0" }';
const Device = z.union([ByPf, ByAddress, ByInterface], DEVICE);

const file = (what: string): z.ZodMiniString =>
  text('a file name', { description: `${what}; a relative path starts at this file's folder.` });

export const Vm: z.ZodMiniType<WrittenVm> = z
  .strictObject(
    {
      name: text(
        'a name of at most 63 lower-case letters, digits, dots, dashes and underscores, with a letter or digit first',
        { description: 'Name of the VM; its journal and sockets are found by it.', pattern: NAME_PATTERN },
        readName,
      ),
      memory: text(
        'a size with its unit, such as 4GiB or 512MiB',
        { description: 'Guest memory, in whole MiB.', pattern: '^[0-9]+ ?(KiB|MiB|GiB|TiB)$', examples: ['4GiB'] },
        readMemory,
      ),
      vcpus: z._default(whole(1, 4096, 'Virtual processors.'), 1),
      machine: z._default(choice(['q35', 'pc'], 'QEMU machine type; a virtual Intel IOMMU and PCI Express need q35.'), 'q35'),
      firmware: z._default(choice(['seabios', 'ovmf'], 'Firmware of the guest.'), 'seabios'),
      disk: z.optional(file('Image that the guest boots from or finds as its first disk')),
      kernel: z.optional(file('Kernel to boot directly')),
      initrd: z.optional(file('Initial RAM disk for kernel')),
      append: z.optional(text('text', { description: 'Command line for kernel.' })),
      iommu: z._default(
        choice(
          ['auto', 'none', 'intel', 'intel-nested', 'virtio'],
          'Virtual IOMMU that the guest sees; auto gives one exactly when the guest needs it.',
        ),
        'auto',
      ),
      needs: z._default(
        z
          .array(choice(['vfio'], 'vfio: the guest itself assigns devices on.'), 'a list such as [vfio]')
          .register(registry, { description: 'What the guest will do, from which the rest is derived.' }),
        [],
      ),
      agent: z._default(onOff('Whether a QEMU guest agent answers in the guest; apply then waits for it.'), 'off'),
      timeout: z._default(
        text(
          'a time with its unit, such as 90s or 2min',
          { description: 'How long apply waits for the guest.', pattern: '^[0-9]+ ?(s|min|h)$' },
          readDuration,
        ),
        '120s',
      ),
      devices: z._default(
        z.array(Device, 'a list of devices').register(registry, { description: 'Functions that the guest gets.' }),
        [],
      ),
      guests: z._default(
        z
          .array(
            z.lazy((): z.ZodMiniType<WrittenVm> => Vm),
            'a list of VMs',
          )
          .register(registry, { description: 'VMs that this guest runs in turn, with devices as this guest sees them.' }),
        [],
      ),
    },
    'a mapping such as { name: demo, memory: 4GiB }',
  )
  .register(registry, {
    title: 'Sluice VM',
    description: 'A virtual machine and the PCI functions that are passed through to it.',
  });

/** The keys a mapping may have, for the place in the file that `path` leads to. */
export function keysAt(path: readonly PropertyKey[], value: unknown): string[] {
  if (path.at(-1) === 'vf') return Object.keys(Vf.shape);
  if (path.at(-2) !== 'devices') return Object.keys((Vm as unknown as { shape: object }).shape);
  const has = (key: string): boolean => typeof value === 'object' && value !== null && Object.hasOwn(value, key);
  return has('pf') || has('vf')
    ? Object.keys(ByPf.shape)
    : has('address')
      ? ['address']
      : has('interface')
        ? ['interface']
        : [...NAMING_KEYS];
}

/** JSON Schema (draft 2020-12) of the file. */
export function vmJsonSchema(): Record<string, unknown> {
  return z.toJSONSchema(Vm, { io: 'input', metadata: registry }) as Record<string, unknown>;
}
