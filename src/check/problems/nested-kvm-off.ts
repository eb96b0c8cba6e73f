import type { Picture } from '../../host/picture.ts';
import type { Verdict } from '../check.ts';
import { notApplicable, pass, unknown } from '../facts.ts';
import type { Problem } from '../problem.ts';
import type { Vm } from '../vm.ts';

export const nestedKvmOff: Problem = {
  id: 'nested-kvm-off',
  title: 'L1 has no /dev/kvm, so L2 runs without acceleration or not at all',
  category: 'viommu',
  severity: 'blocker',
  at: 'L1',
  says: [
    {
      in: 'qemu',
      re: /Could not access KVM kernel module: No such file or directory/,
      example: 'Could not access KVM kernel module: No such file or directory',
      proof: 'src',
    },
  ],
  why: 'nested=0 on L0, or the L1 CPU model lacks vmx/svm.',
  see: [
    { read: 'L0 /sys/module/kvm_{intel,amd}/parameters/nested', when: 'N or 0', sure: 'certain' },
    { read: 'L1 /proc/cpuinfo', when: 'no vmx or svm', sure: 'certain' },
  ],
  fix: ['nested=1 and cpu host-passthrough'],
  beware: 'Independent of the vIOMMU; both are needed.',
  sources: ['gh:bashtheshell/IOMMU-nested-pve', 'gh:srl-labs/vrnetlab#484'],
  rules: [
    { about: 'host', asks: 'Can guests run guests of their own with KVM?', run: judge },
    { about: 'vm', asks: 'Can its own guests run with KVM?', run: nested },
  ],
};

function judge(picture: Picture): Verdict {
  const { system, parameters } = picture;
  const flag = { where: '/proc/cpuinfo flags', text: system.virtualization ?? 'neither vmx nor svm' };
  if (system.virtualization === undefined)
    return system.guest
      ? { is: 'fail', because: 'this guest was given neither vmx nor svm: its own guests run without acceleration', seen: [flag] }
      : notApplicable('this processor shows neither vmx nor svm', flag);
  const module = system.virtualization === 'vmx' ? 'kvm_intel' : 'kvm_amd';
  const where = `/sys/module/${module}/parameters/nested`;
  const value = parameters[module]?.nested;
  if (parameters[module] === undefined && !system.modules.includes(module))
    return notApplicable(`${module} is not loaded: no guest of this host runs with KVM`, flag);
  if (value === undefined) return unknown(`the parameter nested of ${module} could not be read`, flag);
  if (/^[Y1]/.test(value)) return pass('guests may have guests of their own', flag, { where, text: value });
  return { is: 'fail', because: `nested is ${value}: guests see neither vmx nor svm`, seen: [flag, { where, text: value }] };
}

function nested(vm: Vm, picture: Picture): Verdict {
  if (vm.nests !== true) return notApplicable('nobody said that it runs guests of its own');
  const { model, props } = vm.cpu;
  const seen = { where: vm.from, text: `${vm.accel}, -cpu ${model}` };
  if (vm.accel !== 'kvm')
    return { is: 'fail', because: `it runs with ${vm.accel}, and so do its guests`, seen: [seen], fix: ['run it with KVM'] };
  if (props.vmx === 'off' || props.svm === 'off' || !(/^(host|max)$/.test(model) || props.vmx === 'on' || props.svm === 'on'))
    return { is: 'fail', because: `-cpu ${model} does not show it vmx or svm`, seen: [seen], fix: ['-cpu host'] };
  const host = judge(picture);
  return { ...host, seen: [seen, ...host.seen] };
}
