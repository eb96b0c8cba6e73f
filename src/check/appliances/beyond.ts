import type { PciFunction } from '../../host/functions.ts';
import type { Host } from '../../host/host.ts';
import { type Picture, unitNamed } from '../../host/picture.ts';
import { dmaEntries } from '../../vfio/index.ts';
import { judgeAssignment } from '../assignable.ts';
import { ask, type Evidence, type Finding, type Verdict } from '../check.ts';
import { defaultDomain } from '../domain.ts';
import { iommuOn } from '../rules/iommu-on.ts';
import { registersOf } from '../units.ts';
import type { Fact } from './facts.ts';
import { readFact } from './read-fact.ts';

const GIB = 2 ** 30;
/** Hugepages that the data plane of XRd vRouter maps for DMA. */
const MAPPED = 3 * GIB;
/** Below this is the shell that Sluice runs in; a container has the limit of the daemon that starts it. */
const DAEMON = '/run/docker.pid';

/** What decides whether DPDK can use a function, and what the vendor's checker does not ask. */
export interface Beyond {
  host: Finding[];
  functions: { bdf: string; name: string; findings: Finding[] }[];
}

/** @param functions those that the appliance shall have */
export async function judgeBeyond(host: Host, picture: Picture, functions: readonly PciFunction[]): Promise<Beyond> {
  const numbered = (asks: string, id: string, verdict: Verdict, bdf = ''): Finding => ({ id, asks, bdf, ...verdict });
  const limits = await readLimits(host);
  return {
    host: [
      ask(iommuOn, picture, ''),
      numbered(
        'Does the kernel remap interrupts, seen in those that it has set up?',
        'xrd/interrupts-seen',
        interruptsSeen(picture),
      ),
      numbered('If this is a guest: is its vIOMMU one that can hand a device on?', 'xrd/viommu', viommu(picture)),
      numbered('May the container lock what it maps for DMA?', 'xrd/memlock', memlock(limits)),
      numbered('Are there enough mappings for its hugepages?', 'xrd/dma-entries', entries(picture)),
    ],
    functions: await Promise.all(
      functions.map(async (found) => ({
        bdf: found.bdf,
        name: found.interfaces.join('+') || (found.driver ?? ''),
        findings: [
          // That there is an IOMMU stands above, once.
          ...judgeAssignment(picture, found.bdf).filter(({ id, is }) => id !== iommuOn.id || is !== 'pass'),
          numbered('What would the host’s own driver get?', 'xrd/default-domain', domainOf(picture, found), found.bdf),
          numbered('Are the hugepages on its NUMA node?', 'xrd/hugepages-near', await near(host, found), found.bdf),
        ],
      })),
    ),
  };
}

/**
 * Whether the kernel put interrupt remapping to use: the names of interrupt chips begin with `IR-` then. ECAP_REG.IR says only
 * that it could, and "DMAR: IOMMU enabled" says nothing of it. Source: Linux arch/x86/kernel/apic/io_apic.c, drivers/iommu.
 */
export function interruptsSeen({ texts }: Pick<Picture, 'texts'>): Verdict {
  const where = '/proc/interrupts';
  const chips = [...(texts[where] ?? '').matchAll(/\b(?:IR-)?(?:IO-APIC|PCI-MSIX?)\b/g)].map(([name]) => name);
  // The unit's own interrupt is never remapped.
  const remapped = chips.filter((name) => name.startsWith('IR-'));
  if (chips.length === 0) return { is: 'unknown', because: 'no interrupt of an I/O APIC or of MSI is shown', seen: [] };
  const seen = [{ where, text: [...new Set(chips)].join(', ') }];
  if (remapped.length > 0) return { is: 'pass', because: `${remapped.length} interrupts go through the remapping table`, seen };
  return {
    is: 'fail',
    because: 'no interrupt goes through a remapping table, so VFIO refuses, whatever the boot log says',
    seen,
    fix: ['turn on interrupt remapping in firmware; for a vIOMMU give intel-iommu intremap=on and a split irqchip'],
  };
}

/** A guest hands a device on only through a vIOMMU that tells its VMM of each mapping. VT-d 5.10 §6.1, CAP_REG.CM. */
function viommu(picture: Picture): Verdict {
  if (!picture.system.guest) return { is: 'not-applicable', because: 'it is no guest', seen: [] };
  const fix = ['QEMU: -M q35,kernel-irqchip=split -device intel-iommu,intremap=on,caching-mode=on before all vfio-pci devices'];
  if (picture.units.length === 0)
    return { is: 'fail', because: 'it is a guest without a vIOMMU', seen: [{ where: '/sys/class/iommu', text: 'empty' }], fix };
  for (const unit of picture.units) {
    const registers = registersOf(unit);
    if (registers === undefined) continue;
    const seen = [{ where: `/sys/class/iommu/${unit.name}/intel-iommu`, text: `cap ${unit.cap} ecap ${unit.ecap}` }];
    const lacks = [
      ...(registers.cap.CM === 1
        ? []
        : ['CAP_REG.CM is 0 (caching-mode=off): a device that was given to this guest gets no mapping']),
      ...(registers.ecap.IR === 1 ? [] : ['ECAP_REG.IR is 0 (intremap=off): VFIO in this guest refuses']),
    ];
    if (lacks.length > 0) return { is: 'fail', because: lacks.join('; '), seen, fix };
    return { is: 'pass', because: `${unit.name} has CM=1 and IR=1`, seen };
  }
  const names = picture.units.map(({ name }) => name).join(', ');
  return {
    is: 'unknown',
    because: `${names} is no VT-d unit with readable registers`,
    seen: [{ where: '/sys/class/iommu', text: names }],
  };
}

/** The limits of the process that starts containers, or of this one when there is none. */
async function readLimits(host: Host): Promise<Fact<string>> {
  const pid = await readFact(host, DAEMON);
  const number = 'value' in pid ? /^\d{1,10}$/.exec(pid.value.trim())?.[0] : undefined;
  return readFact(host, `/proc/${number ?? 'self'}/limits`);
}

function memlock(limits: Fact<string>): Verdict {
  const line = 'value' in limits ? /^Max locked memory\s+(\d+|unlimited)/m.exec(limits.value) : null;
  if (line === null) return { is: 'unknown', because: `${limits.where} does not say it`, seen: [] };
  const seen = [{ where: limits.where, text: line[0] }];
  const sum = `${MAPPED} bytes of hugepages are mapped, RLIMIT_MEMLOCK is ${line[1]}`;
  if (line[1] === 'unlimited' || Number(line[1]) >= MAPPED) return { is: 'pass', because: sum, seen };
  return {
    is: 'pass',
    because: `${sum}: the container needs CAP_IPC_LOCK, which lifts the limit and which the vendor’s launch-xrd gives`,
    seen,
  };
}

function entries(picture: Picture): Verdict {
  const where = '/sys/module/vfio_iommu_type1/parameters/dma_entry_limit';
  const limit = picture.parameters.vfio_iommu_type1?.dma_entry_limit;
  const size = /^Hugepagesize:\s+(\d{1,12}) kB$/m.exec(picture.texts['/proc/meminfo'] ?? '')?.[1];
  if (size === undefined) return { is: 'unknown', because: 'the size of hugepages is not known', seen: [] };
  const need = dmaEntries({
    memory: MAPPED,
    page: Number(size) * 1024,
    ...(limit === undefined ? {} : { limit: Number(limit) }),
  });
  const seen: Evidence[] = [
    { where: '/proc/meminfo', text: `Hugepagesize: ${size} kB` },
    { where, text: limit ?? 'vfio_iommu_type1 is not loaded: its default counts' },
  ];
  const { fits, lines } = need;
  const because = lines.map((line) => line.text).join('; ');
  return fits
    ? { is: 'pass', because, seen, lines }
    : { is: 'fail', because, seen, lines, fix: ['use hugepages of 1 GiB', `raise ${where}`] };
}

/** VFIO puts a domain of its own in place of it, so this is no obstacle, and no proof of anything either. */
function domainOf(picture: Picture, found: PciFunction): Verdict {
  const domain = defaultDomain(picture, found);
  if (domain === undefined) return { is: 'not-applicable', because: 'it is in no group', seen: [] };
  const where = `/sys/kernel/iommu_groups/${found.group}/type`;
  const unit = found.unit === undefined ? undefined : unitNamed(picture, found.unit);
  return {
    is: 'pass',
    because: `${domain.type} of ${unit?.name ?? 'its unit'}: ${domain.means}; VFIO replaces it, and the file goes on showing it`,
    seen: [{ where, text: domain.type }],
  };
}

/** DPDK takes memory from the node of the function first. */
async function near(host: Host, found: PciFunction): Promise<Verdict> {
  const { numaNode } = found;
  if (numaNode === undefined) return { is: 'not-applicable', because: 'the kernel knows no node for it', seen: [] };
  const seen: Evidence[] = [];
  let free = 0;
  for (const kib of [1_048_576, 2048]) {
    const path = `/sys/devices/system/node/node${numaNode}/hugepages/hugepages-${kib}kB/free_hugepages`;
    const count = await readFact(host, path);
    if (!('value' in count)) continue;
    seen.push({ where: path, text: count.value.trim() });
    free += Number(count.value) * kib * 1024;
  }
  if (seen.length === 0) return { is: 'unknown', because: `node ${numaNode} shows no hugepages`, seen };
  const because = `${free / GIB} GiB free on node ${numaNode}, of ${MAPPED / GIB} GiB`;
  if (free >= MAPPED) return { is: 'pass', because, seen };
  const path = `/sys/devices/system/node/node${numaNode}/hugepages/hugepages-1048576kB/nr_hugepages`;
  return {
    is: 'fail',
    because,
    seen,
    fix: [`boot with hugepagesz=1G hugepages=${numaNode}:3`, `echo 3 > ${path}, while memory is not yet in pieces`],
  };
}
