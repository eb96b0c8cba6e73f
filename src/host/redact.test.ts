import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { bigTree } from '../../test/big-tree.ts';
import { capturedHost } from '../../test/captured-host.ts';
import { captures, tellCaptures } from '../../test/captures.ts';
import { fakeHost, machine } from '../../test/fake-host.ts';
import { type Place, Tree, treeHost } from '../../test/tree-host.ts';
import type { Host } from './host.ts';
import { type Picture, readPicture } from './picture.ts';
import { recording } from './record.ts';
import { redacted } from './redact.ts';
import { replaying } from './replay.ts';
import { bytesOf, type Snapshot } from './snapshot.ts';

const found = captures();
const PF = '/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0';

async function recordOf(host: Host, more: (host: Host) => Promise<unknown> = async () => {}): Promise<Snapshot> {
  const { host: watched, snapshot } = recording(host, '0.0.0');
  await readPicture(watched);
  await more(watched);
  return snapshot();
}

/** What judging depends on, without names. */
function bones(picture: Picture): unknown {
  const { functions, groups, units, system, usage, firmwareTables, unread, kvm, parameters } = picture;
  return {
    functions: functions.map((one) => ({ ...one, config: one.config?.length, interfaces: one.interfaces.length })),
    groups,
    units,
    system: { ...system, bootId: '', cmdline: system.cmdline.split(' ').length, uid: system.uid === 0 },
    usage: usage.map(({ bdf, group, kind }) => ({ bdf, group, kind })),
    firmwareTables,
    unread: unread.map(({ about }) => about ?? []),
    usable: kvm.usable,
    parameters,
  };
}

test(`a redacted record is judged as the host is: the same but for names (${tellCaptures(found)})`, async () => {
  const hosts: Host[] = [fakeHost(machine()), treeHost(new Tree(Object.fromEntries(bigTree(90))))];
  for (const [n, capture] of found.all.entries()) if (n % 9 === 0) hosts.push(capturedHost(capture, capture.states.at(-1)!));
  for (const host of hosts) {
    const record = await recordOf(host);
    const once = redacted(record);
    assert.deepEqual(bones(await readPicture(replaying(once, host.name))), bones(await readPicture(host)), host.name);
    assert.deepEqual(redacted(once), once, `${host.name}: redacting twice`);
    assert.equal(once.redacted, true);
  }
});

/** Values as people and makers give them, none of which may be in a redacted file. */
const identity = fc.record({
  user: fc.stringMatching(/^[a-z]{5}q[a-z]{2}$/),
  host: fc.stringMatching(/^[a-z]{4}x-[a-z]{4}[0-9]{2}$/),
  mac: fc.uint8Array({ minLength: 6, maxLength: 6 }).map((bytes) =>
    hex(
      Uint8Array.from(bytes, (byte) => (byte & 0xfe) | 0x40),
      ':',
    ),
  ),
  other: fc.uint8Array({ minLength: 6, maxLength: 6 }).map((bytes) =>
    hex(
      Uint8Array.from(bytes, (byte) => byte | 0x80),
      ':',
    ),
  ),
  uuid: fc.uuid(),
  serial: fc.stringMatching(/^S[0-9A-Z]{11}$/),
  volume: fc.stringMatching(/^vg[a-z]{6}-root[a-z]{3}$/),
  label: fc.stringMatching(/^[A-Z]{4}_[a-z]{8}$/),
  ip: fc.ipV4().filter((ip) => !/^(0|192\.0\.2)\./.test(ip)),
  dsn: fc.uint8Array({ minLength: 8, maxLength: 8 }).map((bytes) => Uint8Array.from(bytes, (byte) => byte | 0x11)),
});
type Identity = typeof identity extends fc.Arbitrary<infer T> ? T : never;

function hex(bytes: Uint8Array, between = ''): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(between);
}

function hostOf({ user, host, mac, other, uuid, serial, volume, label, ip, dsn }: Identity): Host {
  const config = new Uint8Array(4096);
  config.set([0x86, 0x80, 0x00, 0x10, 0, 0, 0x10, 0, 0, 0, 0, 2]);
  config[0x34] = 0x40;
  config.set([0x10, 0x60, 2, 0], 0x40);
  config.set([0x03, 0x70, 0, 0x80, ...dsn.subarray(0, 4)], 0x60);
  config.set([0x09, 0, 3 + dsn.length, ...dsn], 0x70);
  config.set([3, 0, 1, 0x20, ...dsn], 0x100);
  config.set([0x0b, 0, 1, 0x30, 1, 0, 0, 0x01, ...dsn], 0x200);
  config.set([0x23, 0, 1, 0, 0x86, 0x80, 0x20, 0x01, 0, 0, ...dsn], 0x300);
  const custom = `enx${mac.replaceAll(':', '')}`;
  const gateway = ip
    .split('.')
    .map((part) => Number(part).toString(16).padStart(2, '0').toUpperCase())
    .reverse()
    .join('');
  const places: Record<string, Place> = {
    ...Object.fromEntries(bigTree(3)),
    [`${PF}/config`]: config,
    [`${PF}/net/${custom}/address`]: `${mac}\n`,
    [`/sys/class/net/${custom}`]: { link: `../../devices/pci0000:00/0000:00:01.0/0000:01:00.0/net/${custom}` },
    '/sys/class/net/br-lan/lower_x': { link: '../x' },
    [`/sys/class/net/br-${user}/lower_${custom}`]: { link: `../${custom}` },
    [`/sys/class/net/br-${user}/brif/${custom}`]: { link: `../${custom}` },
    '/proc/sys/kernel/hostname': `${host}\n`,
    '/proc/sys/kernel/osrelease': `6.12.9-${user}-amd64\n`,
    '/proc/version': `Linux version 6.12.9-${user}-amd64 (${user}@${host}) (gcc 14) #1 SMP\n`,
    '/proc/cmdline': `BOOT_IMAGE=/vmlinuz root=UUID=${uuid} ip=${ip}::${ip}:255.0.0.0:${host} intel_iommu=on ${user} iommu=pt my.owner=${user} ${user}=1 rd.luks.name=${uuid}=${label}\n`,
    '/proc/self/mountinfo': [
      `22 1 253:0 / / rw shared:1 - ext4 /dev/mapper/${volume} rw`,
      `23 22 253:0 /@${user} /home/${user}/${label} rw - ext4 /dev/mapper/${volume} rw,owner=${user}`,
      `24 22 0:50 / /mnt/${label} rw - nfs4 ${host}:/srv/${user} rw,addr=${ip}`,
      '',
    ].join('\n'),
    [`/dev/mapper/${volume}`]: { link: '../dm-0' },
    [`/dev/disk/by-id/${serial}`]: { link: '../../sda' },
    '/sys/class/block/dm-0': { link: '../../devices/virtual/block/dm-0' },
    '/sys/dev/block/253:0': { link: '../../devices/virtual/block/dm-0' },
    '/sys/devices/virtual/block/dm-0/dm/name': `${volume}\n`,
    '/sys/devices/virtual/block/dm-0/dm/uuid': `LVM-${serial}\n`,
    '/sys/devices/virtual/block/dm-0/slaves/sda': { link: '../../sda' },
    '/sys/class/block/sda': { link: `../../devices/pci0000:00/0000:00:01.0/0000:01:00.0/block/sda` },
    [`${PF}/block/sda/holders/dm-0`]: { link: '../dm-0' },
    '/proc/swaps': `Filename\tType\tSize\tUsed\tPriority\n/dev/mapper/${volume} partition 1 0 -2\n/home/${user}/swap file 1 0 -3\n`,
    '/proc/net/route': `Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n${custom}\t00000000\t${gateway}\t0003\t0\t0\t0\t00000000\n${custom}\t${gateway}\t00000000\t0001\t0\t0\t0\tFFFFFFFF\n`,
    '/proc/net/ipv6_route': `${'0'.repeat(32)} 00 ${'0'.repeat(32)} 00 fe80000000000000${other.replaceAll(':', '')}0000 00000400 00000001 00000000 00000003 ${custom}\n`,
    [`/sys/fs/btrfs/${uuid}/devices/sda`]: { link: '../sda' },
    '/proc/iomem': `00000000-00000fff : Reserved\nfe000000-fe00ffff : ${custom}\n`,
    '/proc/interrupts': ` 24: 0 PCI-MSI ${custom}-TxRx-0\n`,
    [`/boot/config-6.12.9-${user}-amd64`]: `CONFIG_VFIO=y\nCONFIG_DEFAULT_HOSTNAME="${host}"\nCONFIG_SYSTEM_TRUSTED_KEYS="/home/${user}/key.pem"\n`,
    '/etc/modprobe.d': { folder: 'empty' },
    [`/etc/modprobe.d/${user}.conf`]: '',
    '/etc/modprobe.d/vfio.conf': '',
    '/proc/4242/comm': `${user}-vm\n`,
    '/sys/firmware/acpi/tables/MSDM': new TextEncoder().encode(`\0${serial}`),
    '/proc/4242/fd/3': { link: `/home/${user}/${label}.qcow2` },
    '/proc/4242/fd/4': { link: '/dev/vfio/12' },
    '/dev/vfio/12': '',
    '/sys/class/dmi/id/product_serial': `${serial}\n`,
    '/sys/class/dmi/id/product_name': 'A server\n',
    '/var/lib/sluice/vm/journal.jsonl': `{"owner":"${user}","mac":"${mac}"}\n`,
  };
  const base = treeHost(new Tree(places));
  const line = (text: string) => ({ at: 1, level: 6, text });
  return treeHost(new Tree(places), {
    links: {
      ...base.links,
      list: async () => [
        { name: custom, mac, up: true, vfs: [{ mac: other, vlan: 0, spoofchk: true, trust: false }] },
        { name: `br-${user}`, mac: other, up: true, vfs: [] },
      ],
    },
    nvme: {
      admin: async () => {
        const data = new Uint8Array(4096);
        data.set(new TextEncoder().encode(serial), 4);
        data.set(dsn, 112);
        data.set(new TextEncoder().encode(`nqn.2014-08.org.nvmexpress:uuid:${uuid}`), 768);
        return { status: 0, result: 0, data };
      },
    },
    files: {
      ...base.files,
      kernelLog: async () => [
        line('DMAR: IOMMU enabled'),
        line(`Linux version 6.12.9-${user}-amd64 (${user}@${host})`),
        line(`Final command line is: elfcorehdr=1 pci=noats my.owner=${user}`),
        line(`Command line: root=UUID=${uuid} intel_iommu=on my.owner=${user}`),
        line(`igb 0000:01:00.0 ${custom}: (PCIe) ${mac}`),
        line(`usb 1-1: SerialNumber: ${serial}`),
        line(`pci 0000:01:00.0: serial number: ${serial}`),
        line(`nvme nvme0: pci function 0000:03:00.0, serial ${serial}`),
        line(`EXT4-fs (dm-0): mounted filesystem ${uuid} on pci`),
        line(`systemd[1]: Hostname set to <${host}>. iommu`),
        line(`nfs: server ${ip} pci`),
        line(`Unknown kernel command line parameters "splash my.owner=${user} ${user}", will be passed to user space.`),
        line(
          `pci: out-of-tree module from /srv/${user}/${label}.ko and /dev/disk/by-id/ata-${serial}, not /srv/Jürgen-${user}/ßx: /home/É${label}/a.`,
        ),
        line(`CPU: 1 PID: 9 Comm: ${user}-tool Tainted: G irq`),
        line(`Loaded X.509 cert '${host} Secure Boot Module Signature key: 00ab'`),
        line(`thunderbolt 0-501: Linux ${host}`),
        line(`apple 0003:05AC:024F: input: USB HID v1.11 Keyboard [${user}s board] on usb-0000:00:14.0-1`),
        line(`nvme nvme0: nqn.1994-11.com.samsung:nvme:PM9A1:${serial} pci`),
        line(`mpt3sas_cm0: pci SASAddress(0x${hex(dsn)}), node_guid: ${hex(dsn).match(/..../g)!.join(':')}`),
        line(`igb 0000:01:00.0 eth7: renamed from ${label}`),
        line(`vfio: server ${host}.example.com, LABEL=${label}, service tag: ${serial}`),
      ],
    },
  });
}

test('no identifying value is left anywhere in a redacted record, and what belongs together still does', () =>
  fc.assert(
    fc.asyncProperty(identity, fc.boolean(), async (who, told) => {
      const record = await recordOf(hostOf(who), async ({ files, nvme }) => {
        for (const path of [
          '/proc/version',
          ...(told ? ['/proc/sys/kernel/hostname'] : []),
          '/sys/class/dmi/id/product_serial',
          '/sys/class/dmi/id/product_name',
        ])
          await files.readText(path);
        await files.readText('/var/lib/sluice/vm/journal.jsonl');
        await files.readText(`${PF}/net/enx${who.mac.replaceAll(':', '')}/address`);
        await files.list('/dev/disk/by-id');
        await files.read('/sys/firmware/acpi/tables/MSDM');
        await nvme.admin('/dev/nvme0', { opcode: 6, cdw10: 1, dataLength: 4096 });
      });
      assert.deepEqual(values(record, who), Object.keys(who).sort(), 'every value is in the record itself');
      const clean = redacted(record);
      assert.deepEqual(values(clean, who), []);
      const picture = await readPicture(replaying(clean, 'record'));
      const kinds = picture.usage.filter(({ bdf }) => bdf === '0000:01:00.0').map(({ kind }) => kind);
      for (const kind of ['mount', 'swap', 'default-route'] as const)
        assert.ok(kinds.includes(kind), `${kind} of ${kinds.join()}`);
      const [link] = picture.links;
      assert.deepEqual(picture.functions.find(({ bdf }) => bdf === '0000:01:00.0')?.interfaces.includes(link!.name), true);
      assert.match(picture.system.kernel, /^6\.12\.9-name\d+-amd64$/);
      assert.match(picture.system.cmdline, /intel_iommu=on redacted iommu=pt redacted redacted rd\.luks\.name=redacted$/m);
      assert.deepEqual(redacted(clean), clean);
      assert.ok(picture.log?.some(({ text }) => text === 'DMAR: IOMMU enabled'));
      assert.ok(picture.log?.some(({ text }) => text.includes(`igb 0000:01:00.0 ${link!.name}: (PCIe) ${link!.mac}`)));
      assert.ok(picture.usage.some(({ kind, group }) => kind === 'vfio' && group === 12));
    }),
    { seed: 4, numRuns: 25 },
  ));

/** Which values stand in a record: as text in any case, or as bytes in what is binary. */
function values(record: Snapshot, who: Identity): string[] {
  const text = JSON.stringify(record).toLowerCase();
  const binary = Object.values(record.places)
    .flatMap((names) => Object.values(names))
    .flatMap(({ content, parts }) => [content, ...(parts ?? []).map((part) => part.answer)])
    .flatMap((one) => (one && 'base64' in one ? [Buffer.from(bytesOf(one)).toString('latin1')] : []));
  const answers = record.nvme.flatMap(({ answer }) =>
    'base64' in answer ? [Buffer.from(answer.base64, 'base64').toString('latin1')] : [],
  );
  const all = [...binary, ...answers].join('\n');
  return Object.entries(who)
    .filter(([, value]) => {
      if (typeof value !== 'string') {
        const raw = Buffer.from(value).toString('latin1');
        return all.includes(raw) || all.includes(raw.slice(0, 4)) || text.includes(hex(value));
      }
      return [value, value.replaceAll(':', ''), value.replaceAll('-', '')].some(
        (one) => text.includes(one.toLowerCase()) || all.includes(one),
      );
    })
    .map(([name]) => name)
    .sort();
}
