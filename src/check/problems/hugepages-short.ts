import type { Picture } from '../../host/picture.ts';
import { NODES } from '../../host/texts.ts';
import type { Evidence, Verdict } from '../check.ts';
import { notApplicable, pass, unknown } from '../facts.ts';
import type { Problem } from '../problem.ts';
import type { Vm } from '../vm.ts';

export const hugepagesShort: Problem = {
  id: 'hugepages-short',
  title: 'Not enough huge pages on the right node',
  category: 'memory',
  severity: 'blocker',
  at: 'any',
  says: [
    {
      in: 'qemu',
      re: /unable to map backing store for guest RAM: Cannot allocate memory/,
      example: 'unable to map backing store for guest RAM: Cannot allocate memory',
      proof: 'src',
    },
    {
      in: 'dpdk',
      re: /No available (1048576|2048) kB hugepages reported|No free \d+ kB hugepages reported/,
      example: 'EAL: No available 1048576 kB hugepages reported',
      proof: 'rep',
    },
    {
      in: 'qemu',
      re: /Insufficient free host memory pages available to allocate guest RAM|preallocating memory failed/,
      example: 'os_mem_prealloc: Insufficient free host memory pages available to allocate guest RAM',
      proof: 'src',
    },
  ],
  why: 'Pages are reserved per size and NUMA node; 1 GiB pages can practically be had at boot only.',
  see: [
    {
      read: '/sys/devices/system/node/node*/hugepages/hugepages-*kB/free_hugepages',
      when: 'free on the target node x size < guest RAM (plus what DPDK in the guest wants, inside the guest)',
      sure: 'certain',
    },
  ],
  fix: ['hugepagesz= and hugepages= at boot, per node', 'write nr_hugepages before memory fragments'],
  beware: 'Counts shared with other VMs and databases; reserve = free minus resv_hugepages.',
  sources: [
    'gh:spdk/spdk#984',
    'ios-xr/xrd-tools:scripts/host-check check_hugepages',
    'gh:cloud-hypervisor/cloud-hypervisor#165',
  ],
  rules: [{ about: 'vm', asks: 'Are there as many huge pages as its memory needs, where it needs them?', run: judge }],
};

function judge(vm: Vm, picture: Picture): Verdict {
  const backends = vm.memory.backends.filter(({ hugepages }) => hugepages !== undefined);
  if (backends.length === 0) return notApplicable('its memory is not on huge pages');
  const preset = /^Hugepagesize:\s+(\d+) kB/m.exec(picture.texts['/proc/meminfo'] ?? '')?.[1];
  // What several pieces take from the same pages adds up.
  const wanted = new Map<string, { size: number; nodes: readonly number[] | undefined; pages: number }>();
  for (const { hugepages, bytes, hostNodes } of backends) {
    const size = hugepages?.pageSize ?? (preset === undefined ? undefined : Number(preset) * 1024);
    if (size === undefined) return unknown('the size of huge pages of this host could not be read');
    const key = `${size} ${hostNodes?.join() ?? ''}`;
    const pages = Math.ceil(bytes / size) + (wanted.get(key)?.pages ?? 0);
    wanted.set(key, { size, nodes: hostNodes, pages });
  }
  const seen: Evidence[] = backends.map(({ id, bytes, hostNodes }) => ({
    where: vm.from,
    text: `${id}: ${bytes} bytes${hostNodes === undefined ? '' : ` on node ${hostNodes.join(', ')}`}`,
  }));
  const said: string[] = [];
  for (const { size, nodes, pages } of wanted.values()) {
    const free = freePages(picture, size, nodes, seen);
    const what = `${pages} pages of ${size / 1024} kB${nodes === undefined ? '' : ` on node ${nodes.join(', ')}`}`;
    if (free === undefined) return unknown(`how many of ${what} are free could not be read`, ...seen);
    if (free < pages)
      return {
        is: 'fail',
        because: `${what} are needed, and ${free} are free`,
        seen,
        fix: [
          `hugepagesz=${size / 1024}K hugepages=${pages} on the kernel command line`,
          ...(size === MIB2 ? ['write nr_hugepages before memory fragments'] : []),
        ],
      };
    said.push(`${what} of ${free} that are free`);
  }
  return pass(said.join('; '), ...seen);
}

const MIB2 = 2 ** 21;

/** Free pages that nobody has reserved; of nodes, where reservations are not counted. Undefined when not read. */
function freePages({ texts }: Picture, size: number, nodes: readonly number[] | undefined, seen: Evidence[]): number | undefined {
  const read = (path: string) => {
    const text = texts[path]?.trim();
    if (text !== undefined) seen.push({ where: path, text });
    return text === undefined || !/^\d{1,15}$/.test(text) ? undefined : Number(text);
  };
  const folder = `hugepages-${size / 1024}kB`;
  if (nodes === undefined) {
    const free = read(`/sys/kernel/mm/hugepages/${folder}/free_hugepages`);
    return free === undefined ? undefined : free - (read(`/sys/kernel/mm/hugepages/${folder}/resv_hugepages`) ?? 0);
  }
  const each = nodes.slice(0, NODES_AT_MOST).map((node) => read(`${NODES}/node${node}/hugepages/${folder}/free_hugepages`));
  return each.some((free) => free === undefined) ? undefined : each.reduce<number>((sum, free) => sum + (free ?? 0), 0);
}

/** Linux MAX_NUMNODES on x86. */
const NODES_AT_MOST = 1024;
