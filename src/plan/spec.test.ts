import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { stringify } from 'yaml';
import { anyText } from '../../test/any-text.ts';
import { formatSpecErrors, parseSpec, type SpecError, specJsonSchema, type VmSpec } from './spec.ts';
import { writeMemory } from './spec-units.ts';

const XRD = `name: xrd
memory: 4GiB
vcpus: 4
machine: q35
firmware: ovmf
disk: ./xrd.qcow2
iommu: auto
needs: [vfio]
devices:
  - pf: enp3s0f0
    vf: { mac: "52:54:00:AA:00:01", vlan: 100, trust: on, spoofchk: off }
  - address: 0000:01:00.0
  - interface: enp4s0
guests: []
`;

function spec(text: string): VmSpec {
  const result = parseSpec(text, 'vm.yaml');
  assert.ok('spec' in result, 'errors' in result ? formatSpecErrors(result.errors) : '');
  return result.spec;
}
function errors(text: string): SpecError[] {
  const result = parseSpec(text, 'vm.yaml');
  assert.ok('errors' in result, 'the text was accepted');
  return result.errors;
}
const messages = (text: string): string[] => errors(text).map((error) => error.message);

test('a whole spec is read, with the place of each device', () => {
  const at = (line: number) => ({ file: 'vm.yaml', line, column: 5 });
  assert.deepEqual(spec(XRD), {
    name: 'xrd',
    memory: 4 * 2 ** 30,
    vcpus: 4,
    machine: 'q35',
    firmware: 'ovmf',
    disk: './xrd.qcow2',
    iommu: 'auto',
    needs: ['vfio'],
    agent: false,
    timeout: 120,
    devices: [
      {
        kind: 'vf',
        pf: 'enp3s0f0',
        settings: { mac: '52:54:00:aa:00:01', vlan: 100, trust: true, spoofchk: false },
        at: at(10),
      },
      { kind: 'address', address: '0000:01:00.0', at: at(12) },
      { kind: 'interface', interface: 'enp4s0', at: at(13) },
    ],
    guests: [],
  });
});

test('name and memory are enough', () => {
  const { machine, firmware, iommu, vcpus, devices } = spec('name: a\nmemory: 64MiB\n');
  assert.deepEqual(
    { machine, firmware, iommu, vcpus, devices },
    { machine: 'q35', firmware: 'seabios', iommu: 'auto', vcpus: 1, devices: [] },
  );
});

test('on is on in YAML 1.2, where it is text, and in YAML 1.1, where it is not', () => {
  for (const head of ['', '%YAML 1.1\n---\n'])
    for (const [word, value] of [
      ['on', true],
      ['off', false],
      ['true', true],
      ['false', false],
    ] as const)
      assert.equal(spec(`${head}name: a\nmemory: 1GiB\nagent: ${word}\n`).agent, value, head + word);
});

test('JSON is a spec too', () =>
  assert.equal(spec('{"name": "a", "memory": "1GiB", "devices": [{"pf": "nvme0"}]}').devices.length, 1));

test('several mistakes are reported at once, in the order of the file, each with its place', () => {
  const text = `nmae: xrd
memory: 4GB
vcpus: "4"
machine: q53
devices:
  - pf: a
    vf: { mak: 1, mac: "01:54:00:AA:00:01", vlan: 4095, trust: yes }
  - address: 1:00.0
    vf: {}
  - adress: 0000:01:00.0
  - { address: "0000:01:00.0", pf: x }
  - 5
guests:
  - name: inner
    memory: 1GiB
    devices: [{ pf: "/dev/nvme3" }]
`;
  assert.deepEqual(
    errors(text).map((e) => `${e.line}:${e.column} ${e.path}`),
    [
      '1:1 name',
      '1:1 nmae',
      '2:9 memory',
      '3:8 vcpus',
      '4:10 machine',
      '7:11 devices[0].vf.mak',
      '7:24 devices[0].vf.mac',
      '7:51 devices[0].vf.vlan',
      '7:64 devices[0].vf.trust',
      '8:5 devices[1].pf',
      '8:5 devices[1].address',
      '10:5 devices[2].adress',
      '11:32 devices[3]',
      '12:5 devices[4]',
      '16:21 guests[0].devices[0].pf',
    ],
  );
});

for (const [what, text, expected] of [
  ['an unknown key', 'name: a\nmemory: 1GiB\ncpus: 2\n', ['vm.yaml:3:1: cpus: unknown key; did you mean vcpus?']],
  [
    'a wrong unit',
    'name: a\nmemory: 4GB\n',
    [
      'vm.yaml:2:9: memory: expected a size with its unit, such as 4GiB or 512MiB, found "4GB"; write 4GiB (or 3815MiB if powers of ten were meant)',
    ],
  ],
  [
    'a key twice',
    'name: a\nmemory: 1GiB\nname: b\n',
    ['vm.yaml:3:1: name: expected each key once, found it again; it is on line 1 already'],
  ],
  ['an empty file', '', ['vm.yaml:1:1: expected a mapping such as { name: demo, memory: 4GiB }, found an empty file']],
  [
    'only a comment',
    '# nothing\n',
    ['vm.yaml:1:1: expected a mapping such as { name: demo, memory: 4GiB }, found an empty file'],
  ],
  ['a list', '[1]', ['vm.yaml:1:1: expected a mapping such as { name: demo, memory: 4GiB }, found a list']],
  [
    'a second document',
    'name: a\nmemory: 1GiB\n---\nname: b\n',
    ['vm.yaml:3:1: a second document starts here: a file holds one VM'],
  ],
  ['an open quote', 'name: "a\n', ['vm.yaml:2:1: Missing closing "quote']],
  ['an unknown tag', 'name: !foo a\nmemory: 1GiB\n', ['vm.yaml:1:7: Unresolved tag: !foo']],
  ['an alias of nothing', 'name: *a\n', ['vm.yaml:1:7: name: expected an alias of an anchor before it, found *a']],
  [
    'an alias of itself',
    'guests: &g [*g]\n',
    ['vm.yaml:1:13: guests[0]: expected an alias of something else, found *g, which contains it'],
  ],
  ['a NUL', 'na\0me: a', ['vm.yaml:1:3: expected text, found a NUL character']],
  ['a key that is a mapping', '{a: b}: c', ['vm.yaml:1:1: expected a key that is a word, found something else']],
  [
    'an initrd without kernel, and an Intel IOMMU on pc',
    'name: a\nmemory: 1GiB\nmachine: pc\niommu: intel\ninitrd: i\n',
    [
      'vm.yaml:3:10: machine: expected q35, found pc; iommu: intel is a device of q35',
      'vm.yaml:5:9: initrd: expected a kernel beside it, found none; firmware boots the disk and reads neither',
    ],
  ],
  [
    'one function twice',
    'name: a\nmemory: 1GiB\ndevices: [{ address: 01:00.0 }, { address: 0000:01:00.0 }]\n',
    [
      'vm.yaml:3:44: devices[1].address: expected an address that is used once, found 0000:01:00.0, which devices[0].address has already',
    ],
  ],
] as const)
  test(`${what} gets one clear message`, () => assert.deepEqual(messages(text), expected));

test('a tab as indentation is named', () =>
  assert.match(messages('devices:\n\t- pf: a\n')[0]!, /^vm\.yaml:2:1: Tabs are not allowed/));

test('columns count from the start of the line with Windows line ends and a byte order mark', () => {
  assert.match(messages('\uFEFFname: a\r\nmemory: 4G\r\n')[0]!, /^vm\.yaml:2:9: memory/);
});

for (const [what, text, says] of [
  [
    'aliases that multiply',
    `a: &a [${'x,'.repeat(9)}]\n${['b', 'c', 'd'].map((k, i) => `${k}: &${k} [${`*${'abc'[i]},`.repeat(9)}]`).join('\n')}`,
    /multiply/,
  ],
  ['very many aliases', `a: &a x\nb: [${'*a,'.repeat(5000)}]`, /at most 100 aliases, found 5000/],
  ['deep flow nesting', '['.repeat(15_000), /:1:65: expected at most 64 levels/],
  ['deep block nesting', `${'- '.repeat(15_000)}x`, /at most 64 levels/],
  ['deep mappings', '{a: '.repeat(15_000), /at most 64 levels/],
  ['many unknown keys', Array.from({ length: 5000 }, (_, i) => `k${i}: 1`).join('\n'), /unknown key/],
  ['more than a mebibyte', `# ${'x'.repeat(2 ** 20)}`, /at most 1 MiB/],
] as const)
  test(`${what} end in a message`, () => {
    const found = errors(text);
    assert.ok(found.length <= 200);
    assert.match(found.at(-1)!.message, says);
  });

test('a long list of errors is cut when it is printed', () => {
  const text = formatSpecErrors(errors(`name: a\nmemory: 1GiB\n${Array.from({ length: 30 }, (_, i) => `k${i}: 1`).join('\n')}`));
  assert.equal(text.split('\n').length, 21);
  assert.match(text, /\.\.\. and 10 more$/);
});

const name = fc.stringMatching(/^[a-z0-9][a-z0-9._-]{0,20}$/);
const hex = (digits: number) => fc.stringMatching(new RegExp(`^[0-9a-f]{${digits}}$`));
const address = fc
  .tuple(hex(4), hex(2), fc.integer({ min: 0, max: 31 }), fc.integer({ min: 0, max: 7 }))
  .map(([domain, bus, device, f]) => `${domain}:${bus}:${device.toString(16).padStart(2, '0')}.${f}`);
const iface = fc.stringMatching(/^[A-Za-z#*&!%@~?-][A-Za-z0-9_#.-]{0,14}$/);
const fileName = fc.string({ minLength: 1, maxLength: 30 });
const vf = fc.record(
  {
    mac: fc.tuple(hex(1), fc.constantFrom('2', '6', 'a', 'e'), hex(10)).map((part) => part.join('').match(/../g)!.join(':')),
    vlan: fc.integer({ min: 0, max: 4094 }),
    trust: fc.boolean(),
    spoofchk: fc.boolean(),
    queues: fc.integer({ min: 2, max: 65535 }),
    interrupts: fc.integer({ min: 1, max: 65535 }),
  },
  { requiredKeys: [] },
);
const device = fc.oneof(
  fc.record({ kind: fc.constant('vf' as const), pf: fc.oneof(address, iface), settings: vf }),
  fc.record({ kind: fc.constant('address' as const), address }),
  fc.record({ kind: fc.constant('interface' as const), interface: iface }),
);
type Placeless = Omit<VmSpec, 'devices' | 'guests'> & {
  devices: (typeof device extends fc.Arbitrary<infer D> ? D : never)[];
  guests: Placeless[];
};
const distinct = (d: { kind: string }) => JSON.stringify('address' in d ? d.address : 'interface' in d ? d.interface : d);
const single = fc.record(
  {
    name,
    memory: fc.integer({ min: 1, max: 2 ** 26 }).map((mebibytes) => mebibytes * 2 ** 20),
    vcpus: fc.integer({ min: 1, max: 4096 }),
    machine: fc.constant('q35' as const),
    firmware: fc.constantFrom('seabios' as const, 'ovmf' as const),
    disk: fileName,
    kernel: fileName,
    iommu: fc.constantFrom('auto' as const, 'intel' as const, 'intel-nested' as const, 'virtio' as const),
    needs: fc.constantFrom<'vfio'[][]>([], ['vfio']).map((needs) => needs as 'vfio'[]),
    agent: fc.boolean(),
    timeout: fc.integer({ min: 1, max: 86400 }),
    devices: fc.uniqueArray(device, { selector: distinct, maxLength: 4 }),
  },
  { requiredKeys: ['name', 'memory', 'vcpus', 'machine', 'firmware', 'iommu', 'needs', 'agent', 'timeout', 'devices'] },
);
const vm = fc
  .uniqueArray(single, { selector: (one) => one.name, minLength: 1, maxLength: 3 })
  .map(([outer, ...inner]): Placeless => ({ ...outer!, guests: inner.map((guest) => ({ ...guest, guests: [] })) }))
  .filter((one) => {
    const macs = [one, ...one.guests].map((each) =>
      each.devices.flatMap((d) => (d.kind === 'vf' && d.settings.mac ? [d.settings.mac] : [])),
    );
    return macs.every((list) => new Set(list).size === list.length);
  });

/** As a person would write it. */
function written(one: Placeless, onOff: (value: boolean) => unknown): unknown {
  return {
    ...one,
    memory: writeMemory(one.memory),
    timeout: `${one.timeout}s`,
    agent: onOff(one.agent),
    devices: one.devices.map((d) => {
      if (d.kind === 'address') return { address: d.address };
      if (d.kind === 'interface') return { interface: d.interface };
      const { trust, spoofchk, ...rest } = d.settings;
      return {
        pf: d.pf,
        vf: {
          ...rest,
          ...(trust !== undefined && { trust: onOff(trust) }),
          ...(spoofchk !== undefined && { spoofchk: onOff(spoofchk) }),
        },
      };
    }),
    guests: one.guests.map((guest) => written(guest, onOff)),
  };
}
const withoutPlaces = (one: VmSpec): unknown =>
  JSON.parse(JSON.stringify(one, (key, value: unknown) => (key === 'at' ? undefined : value)));

test('any spec that is written as YAML is read back', () => {
  fc.assert(
    fc.property(vm, fc.boolean(), fc.boolean(), (one, words, json) => {
      const plain = written(one, (value) => (words ? (value ? 'on' : 'off') : value));
      assert.deepEqual(withoutPlaces(spec(json ? JSON.stringify(plain) : stringify(plain))), JSON.parse(JSON.stringify(one)));
    }),
  );
});

test('changed text is read or refused with a place inside the text, and never crashes', () => {
  const edit = fc.record({
    at: fc.nat(XRD.length),
    cut: fc.nat(8),
    put: fc.oneof(
      anyText(6),
      fc.constantFrom('\t', '&a ', '*a', '!!x ', '? ', '- ', '{', '[', '<<: ', '__proto__: ', '---\n', '|\n'),
    ),
  });
  fc.assert(
    fc.property(fc.array(edit, { minLength: 1, maxLength: 6 }), (edits) => {
      let text = XRD;
      for (const { at, cut, put } of edits) text = text.slice(0, at) + put + text.slice(at + cut);
      const result = parseSpec(text, 'vm.yaml');
      if ('spec' in result) return;
      const lines = text.split('\n');
      assert.ok(result.errors.length > 0);
      for (const { line, column, message } of result.errors) {
        assert.ok(line >= 1 && line <= lines.length && column >= 1 && column <= lines[line - 1]!.length + 1, `${line}:${column}`);
        assert.doesNotMatch(message, /\n|undefined|\[object/);
      }
    }),
    { numRuns: 500 },
  );
});

test('the JSON Schema describes every key with its default', () => {
  const schema = specJsonSchema() as {
    properties: Record<string, { description?: string; default?: unknown }>;
    required: string[];
    additionalProperties: boolean;
  };
  assert.deepEqual(schema.required, ['name', 'memory']);
  assert.equal(schema.additionalProperties, false);
  for (const [key, value] of Object.entries(schema.properties)) assert.ok(value.description, `${key} has a description`);
  assert.equal(schema.properties.machine!.default, 'q35');
  assert.deepEqual(schema.properties.devices!.default, []);
});
