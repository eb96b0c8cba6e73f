import type { Host } from '../host/host.ts';
import { namespacesOf } from '../host/nvme.ts';
import { decodeUtf8, type GuestAgent } from '../qemu/index.ts';
import type { JournalDevice } from './journal.ts';
import type { Proof } from './proof.ts';

/** What a guest shows of its own devices and IOMMU. Addresses are the guest's. */
export interface GuestView {
  groups: { number: string; type: string; bdf: string }[];
  drivers: Map<string, string>;
  interfaces: { bdf: string; name: string; mac: string; up: boolean }[];
  namespaces: { bdf: string; nsid: number; device: string }[];
}

// One line a fact. It must run in any guest: POSIX shell, cat and readlink only.
const LOOK = `
for g in /sys/kernel/iommu_groups/*; do
  for d in "$g"/devices/*; do [ -e "$d" ] && echo "group \${g##*/} $(cat "$g/type" 2>/dev/null) \${d##*/}"; done
done
for d in /sys/bus/pci/devices/*; do
  b=\${d##*/}
  r=$(readlink "$d/driver") && echo "driver $b \${r##*/}"
  for n in "$d"/net/*; do [ -e "$n" ] && echo "net $b \${n##*/} $(cat "$n/address") $(cat "$n/flags")"; done
  for n in "$d"/nvme/nvme*/nvme*n*; do [ -e "$n/nsid" ] && echo "namespace $b $(cat "$n/nsid") \${n##*/}"; done
done
exit 0`;

const IFF_UP = 1;

/** Looks into the guest. @throws HostError, QmpError when its agent does not do what it should */
export async function lookIntoGuest(agent: GuestAgent): Promise<GuestView> {
  const { stdout } = await agent.exec('/bin/sh', ['-c', LOOK]);
  const view: GuestView = { groups: [], drivers: new Map(), interfaces: [], namespaces: [] };
  for (const line of decodeUtf8(stdout).split('\n')) {
    const [word, ...rest] = line.split(' ');
    const [a = '', b = '', c = '', d = ''] = rest;
    if (word === 'group') view.groups.push({ number: a, type: b, bdf: c });
    if (word === 'driver') view.drivers.set(a, b);
    if (word === 'net') view.interfaces.push({ bdf: a, name: b, mac: c, up: (Number.parseInt(d, 16) & IFF_UP) !== 0 });
    // With multipath the node is nvme0n1 and the path below the controller nvme0c1n1.
    if (word === 'namespace') view.namespaces.push({ bdf: a, nsid: Number(b), device: `/dev/${c.replace(/c\d+n/, 'n')}` });
  }
  return view;
}

/** A guest with a vIOMMU has groups of its own, and the device is in one. */
export function proveGuestGroups(view: GuestView, device: JournalDevice): Proof {
  const group = view.groups.find((candidate) => candidate.bdf === device.guest);
  const fellows = view.groups.filter((candidate) => candidate.number === group?.number).map((candidate) => candidate.bdf);
  return {
    level: 'guest',
    bdf: device.bdf,
    claim: 'the guest has it in an IOMMU group of its own',
    is: group === undefined ? 'disproved' : 'proved',
    because:
      group === undefined
        ? `${device.guest} is in no group of the guest; it has ${new Set(view.groups.map((one) => one.number)).size} groups`
        : `${device.guest} is in group ${group.number} (${group.type}) with ${fellows.length - 1} others`,
    seen: view.groups
      .filter((one) => one.number === group?.number)
      .map((one) => ({ where: `guest /sys/kernel/iommu_groups/${one.number}`, text: `${one.bdf} ${one.type}` })),
  };
}

/** A driver of the guest has the device. */
export function proveGuestDriver(view: GuestView, device: JournalDevice): Proof {
  const driver = view.drivers.get(device.guest ?? '');
  return {
    level: 'guest',
    bdf: device.bdf,
    claim: 'a driver of the guest has it',
    is: driver === undefined ? 'disproved' : 'proved',
    because: `${device.guest ?? 'its address'}: ${driver === undefined ? 'no driver' : `driver ${driver}`}`,
    seen: [{ where: `guest /sys/bus/pci/devices/${device.guest}/driver`, text: driver ?? 'absent' }],
  };
}

const SECTOR = 4096;

/** A sector that the guest reads through its VF is what the controller's PF reads below. */
export async function proveSector(host: Host, agent: GuestAgent, view: GuestView, device: JournalDevice): Promise<Proof> {
  const proof = { level: 'guest', bdf: device.bdf, claim: 'a sector read in the guest is the one below' } as const;
  const unknown = (because: string): Proof => ({ ...proof, is: 'unknown', because, seen: [] });
  const inGuest = view.namespaces.filter((one) => one.bdf === device.guest);
  if (inGuest.length === 0) return { ...proof, is: 'disproved', because: 'the guest sees no namespace on it', seen: [] };
  if (device.pfNvme === undefined)
    return unknown('the host has no driver on the controller, so there is nothing to compare with');
  const below = await namespacesOf(host, device.pfNvme);
  const pair = inGuest.flatMap((guest) => below.filter((one) => one.nsid === guest.nsid).map((one) => ({ guest, host: one })))[0];
  if (pair === undefined) return unknown(`no namespace of the guest is also one of ${device.pfNvme}`);
  const expected = await host.files.readAt(pair.host.device, 0, SECTOR);
  if (expected === undefined) return unknown(`${pair.host.device} is not there`);
  const read = (...flags: string[]) =>
    agent.exec('dd', [`if=${pair.guest.device}`, `bs=${SECTOR}`, 'count=1', ...flags], { timeout: 20_000 });
  // Past the guest's page cache, or an old copy would be compared.
  const direct = await read('iflag=direct');
  const got = direct.code === 0 ? direct : await read();
  const seen = [
    { where: pair.host.device, text: sample(expected) },
    { where: `guest ${pair.guest.device}`, text: got.code === 0 ? sample(got.stdout) : decodeUtf8(got.stderr).trim() },
  ];
  if (got.code !== 0) return { ...proof, is: 'disproved', because: 'the guest could not read it', seen };
  const equal = got.stdout.length === expected.length && got.stdout.every((byte, at) => byte === expected[at]);
  if (!equal) return { ...proof, is: 'disproved', because: 'they differ', seen };
  if (expected.every((byte) => byte === 0))
    return {
      ...proof,
      is: 'unknown',
      because: 'both are all zeros, which proves little: write something to the first sector',
      seen,
    };
  return { ...proof, is: 'proved', because: `${SECTOR} bytes of namespace ${pair.guest.nsid} are equal`, seen };
}

/** The printable start of a sector, or its first bytes. */
function sample(bytes: Uint8Array): string {
  const text = /^[\x20-\x7e]+/.exec(decodeUtf8(bytes.subarray(0, 48)))?.[0] ?? '';
  return text.length >= 8
    ? JSON.stringify(text)
    : [...bytes.subarray(0, 16)].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
}

// $1 the interface, $2 the address to reach. A link takes a moment, and so does the check for duplicate addresses. An
// interface that was down is put down again.
const PING = `
was=$(cat "/sys/class/net/$1/flags")
ip link set dev "$1" up || exit 3
i=0
while [ $i -lt 20 ]; do ping -6 -c 1 -W 1 "$2%$1" >/dev/null 2>&1 && break; i=$((i+1)); sleep 0.3; done
ping -6 -c 5 -W 2 "$2%$1"
r=$?
echo "rx $(cat "/sys/class/net/$1/statistics/rx_packets") tx $(cat "/sys/class/net/$1/statistics/tx_packets")"
[ $((was & 1)) = 0 ] && ip link set dev "$1" down
exit $r`;

/** Packets pass between the VF in the guest and its PF on the host, both ways: echo over IPv6 link-local addresses, so that nothing has to be configured. */
export async function provePackets(host: Host, agent: GuestAgent, view: GuestView, device: JournalDevice): Promise<Proof> {
  const proof = { level: 'guest', bdf: device.bdf, claim: 'packets pass between the guest and the PF' } as const;
  const [inGuest] = view.interfaces.filter((one) => one.bdf === device.guest);
  if (inGuest === undefined) return { ...proof, is: 'disproved', because: 'the guest has no network interface on it', seen: [] };
  const mac = { where: `guest /sys/class/net/${inGuest.name}/address`, text: inGuest.mac };
  const pf = device.pfInterface;
  const address = pf === undefined ? undefined : await linkLocalOf(host, pf);
  if (pf === undefined || address === undefined)
    return {
      ...proof,
      is: 'unknown',
      because: `${pf ?? 'its PF'} has no IPv6 link-local address on the host that the guest could reach`,
      seen: [mac],
    };
  const vlan = (await host.links.list()).find((link) => link.name === pf)?.vfs[device.vf ?? -1]?.vlan ?? 0;
  if (vlan !== 0)
    return {
      ...proof,
      is: 'unknown',
      because: `the VF is in VLAN ${vlan} and the PF is not, so they cannot reach each other`,
      seen: [mac],
    };
  const answer = await agent.exec('/bin/sh', ['-c', PING, 'sh', inGuest.name, address], { timeout: 60_000 });
  const lines = decodeUtf8(answer.stdout)
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => /packets transmitted|^rx \d|round-trip|rtt/.test(line));
  const summary = lines.find((line) => line.includes('packets transmitted'));
  return {
    ...proof,
    is: answer.code === 0 ? 'proved' : 'disproved',
    because: summary ?? (decodeUtf8(answer.stderr).trim() || `ping ended with ${answer.code}`),
    seen: [mac, ...lines.map((text) => ({ where: `guest: ping ${address}%${inGuest.name}`, text }))],
  };
}

/** The link-local address of an interface of the host, or undefined. Source: proc(5) net/if_inet6: address, index, prefix, scope, flags, name. */
async function linkLocalOf(host: Host, name: string): Promise<string | undefined> {
  const SCOPE_LINK = '20';
  for (const line of ((await host.files.readText('/proc/net/if_inet6')) ?? '').split('\n')) {
    const [address = '', , , scope, , interfaceName] = line.trim().split(/\s+/);
    if (interfaceName === name && scope === SCOPE_LINK && /^[0-9a-f]{32}$/.test(address))
      return address.replace(/(.{4})(?!$)/g, '$1:');
  }
  return undefined;
}
