import type { Picture } from '../../host/picture.ts';
import { functionOf } from '../../host/picture.ts';
import { NODES } from '../../host/texts.ts';
import type { Verdict } from '../check.ts';
import { at, notApplicable, pass, unknown } from '../facts.ts';
import type { Problem } from '../problem.ts';
import type { Vm } from '../vm.ts';

export const numaRemote: Problem = {
  id: 'numa-remote',
  title: 'Device, guest memory and vCPUs are on different NUMA nodes',
  category: 'memory',
  severity: 'slow',
  at: 'any',
  says: [],
  why: 'Every DMA and doorbell crosses the socket link; the IOMMU of the remote socket walks tables in remote memory.',
  see: [
    { read: '{d}/numa_node, {d}/local_cpulist', when: 'not the node of the planned vCPU pinning and memory', sure: 'certain' },
  ],
  fix: ["pin vCPUs and memory to the device's node", 'give the guest a matching virtual NUMA node with pxb-pcie'],
  beware: 'numa_node -1 means unknown, not node 0.',
  sources: ['gh:kubevirt/enhancements#116', 'gh:kubevirt/enhancements#38'],
  rules: [{ about: 'vm', asks: 'Is its memory on the NUMA node of its devices?', run: judge }],
};

function judge(vm: Vm, picture: Picture): Verdict {
  if (vm.hostDevices.length === 0) return notApplicable('it has no host devices');
  const nodes = (picture.folders[NODES] ?? []).filter((name) => /^node\d+$/.test(name));
  const list = { where: NODES, text: nodes.join(', ') || 'not read' };
  if (nodes.length === 1) return pass('this host has one node', list);
  const places = vm.hostDevices.flatMap(({ bdf, pf }) => {
    const found = functionOf(picture, bdf ?? '') ?? functionOf(picture, pf ?? '');
    return found === undefined ? [] : [found];
  });
  if (places.length === 0) return unknown('none of its host devices is a function of this host', list);
  const seen = [list, ...places.map((found) => ({ where: at(found, 'numa_node'), text: String(found.numaNode ?? -1) }))];
  const known = places.filter(({ numaNode }) => numaNode !== undefined);
  if (known.length === 0) return unknown('the kernel does not know the node of its devices: -1 is not node 0', ...seen);
  const bound = new Set(vm.memory.backends.flatMap(({ hostNodes }) => hostNodes ?? []));
  seen.push({
    where: vm.from,
    text: bound.size === 0 ? 'memory is bound to no node' : `memory on node ${[...bound].join(', ')}`,
  });
  if (bound.size === 0 || vm.memory.backends.some(({ hostNodes }) => hostNodes === undefined))
    return unknown('its memory is bound to no node, and lies where its processors happen to run', ...seen);
  const remote = known.filter(({ numaNode }) => numaNode !== undefined && !bound.has(numaNode));
  if (remote.length > 0)
    return {
      is: 'fail',
      because: `${remote.map(({ bdf, numaNode }) => `${bdf} is on node ${numaNode}`).join(', ')}, and memory is on node ${[...bound].join(', ')}: every DMA crosses to another socket`,
      seen,
    };
  return pass(`devices and memory are on node ${[...new Set(known.map(({ numaNode }) => numaNode))].join(', ')}`, ...seen);
}
