import { functionOf, groupNumbered, type Picture } from '../../host/picture.ts';
import { guestRegions, lowMemory } from '../../vfio/index.ts';
import type { Evidence, Verdict } from '../check.ts';
import { notApplicable, pass, unknown } from '../facts.ts';
import type { Vm } from '../vm.ts';
import { layoutOf, reservedOf } from './vm-limits.ts';

const MEMORY = /^memory/;
const GIB = 2 ** 30;

/** Whether guest memory keeps clear of the addresses that no function of the groups may map. */
export function reservedAvoided(vm: Vm, picture: Picture): Verdict {
  const layout = layoutOf(vm, picture);
  if (vm.hostDevices.length === 0) return notApplicable('it has no host devices');
  if (layout === undefined) return unknown(`where ${vm.machine || 'this machine'} has its memory is not known here`);
  const { regions, lines } = guestRegions(layout);
  const memory = regions.filter(({ what }) => MEMORY.test(what));
  const seen: Evidence[] = lines.map(({ text, source }) => ({ where: source, text }));
  const numbers = new Set(vm.hostDevices.flatMap(({ bdf, pf }) => groupOf(picture, bdf) ?? groupOf(picture, pf) ?? []));
  if (numbers.size === 0) return unknown('no group of its host devices is known here');
  const crossed: string[] = [];
  for (const number of numbers)
    for (const { start, end, type } of reservedOf(groupNumbered(picture, number))) {
      if (type === 'direct-relaxable') continue;
      const text = `0x${start.toString(16)} to 0x${end.toString(16)} (${type})`;
      seen.push({ where: `/sys/kernel/iommu_groups/${number}/reserved_regions`, text });
      const hit = memory.find((region) => region.start <= end && region.end >= start);
      if (hit !== undefined) crossed.push(`${text} of group ${number} lies in ${hit.what}`);
    }
  if (crossed.length > 0)
    return { is: 'fail', because: `${crossed.join('; ')}: VFIO refuses to map memory there, and QEMU does not start`, seen };
  return pass(`guest memory crosses no reserved region of ${numbers.size === 1 ? 'its group' : 'its groups'}`, ...seen);
}

function groupOf(picture: Picture, bdf: string | undefined): number | undefined {
  return bdf === undefined ? undefined : functionOf(picture, bdf)?.group;
}

/** What a processor of QEMU has unless told. Source: QEMU target/i386/cpu.h TCG_PHYS_ADDR_BITS. */
const DEFAULT_BITS = 40;
/** Room for 64-bit BARs that QEMU keeps above memory unless told. Source: QEMU hw/pci-host/q35.c, i440fx.c. */
const HOLE64 = { q35: 32 * GIB, pc: 2 * GIB } as const;

/** Whether the guest's processor has bits for all that is put in its address space, and the host's processor as many. */
export function bitsEnough(vm: Vm, picture: Picture): Verdict {
  if (vm.arch !== 'x86') return notApplicable('it is no x86 machine');
  const line = /^address sizes\s*: (\d{2}) bits physical.*$/m.exec(picture.texts['/proc/cpuinfo'] ?? '');
  const host = line === null ? undefined : Number(line[1]);
  const { model, props } = vm.cpu;
  const given = Number(props['phys-bits'] ?? 0);
  const limit = Number(props['host-phys-bits-limit'] ?? 0);
  const asHost = (props['host-phys-bits'] ?? (/^(host|max)$/.test(model) ? 'on' : 'off')) === 'on' && vm.accel === 'kvm';
  const seen: Evidence[] = [{ where: vm.from, text: `${vm.accel}, -cpu ${vm.options.cpu?.at(-1) ?? model}` }];
  if (line !== null) seen.push({ where: '/proc/cpuinfo', text: line[0] });
  const bits = asHost ? (limit > 0 && host !== undefined ? Math.min(limit, host) : host) : given > 0 ? given : DEFAULT_BITS;
  if (bits === undefined)
    return unknown('the guest gets as many bits as the processor of the host has, and those were not read', ...seen);
  if (vm.accel === 'kvm' && host !== undefined && bits > host)
    return {
      is: 'fail',
      because: `the guest is told of ${bits} physical address bits (${given > 0 ? 'as given' : `without host-phys-bits=on`}), and this processor has ${host}: what is above 2^${host} cannot be reached`,
      seen,
    };
  const layout = layoutOf(vm, picture);
  if (layout === undefined) return unknown(`where ${vm.machine || 'this machine'} has its memory is not known here`, ...seen);
  const { regions, lines } = guestRegions({ ...layout, physBits: bits });
  const tops = regions.filter(({ what }) => MEMORY.test(what)).map(({ end }) => Number(end) + 1);
  const top = Math.max(...tops);
  const above = layout.memory > lowMemory(layout.machine, layout.memory).result;
  const end = above ? top + HOLE64[layout.machine] : top;
  seen.push(...lines.map(({ text, source }) => ({ where: source, text })));
  if (end > 2 ** bits)
    return {
      is: 'fail',
      because: `memory and the room for 64-bit BARs end at 0x${end.toString(16)}, and ${bits} bits reach 0x${(2 ** bits).toString(16)}: phys-bits too low`,
      seen,
    };
  return pass(
    `${bits} bits reach 0x${(2 ** bits).toString(16)}, and memory with the room for 64-bit BARs ends at 0x${end.toString(16)}`,
    ...seen,
  );
}
