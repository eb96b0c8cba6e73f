import type { PciFunction } from '../../host/functions.ts';
import { functionOf, type Picture } from '../../host/picture.ts';
import type { Evidence, Verdict } from '../check.ts';
import { at, listed, notApplicable, pass } from '../facts.ts';
import type { Problem } from '../problem.ts';
import type { Vm } from '../vm.ts';

export const nvidiaCode43: Problem = {
  id: 'nvidia-code-43',
  title: 'Windows shows Code 43 for an NVIDIA GPU',
  category: 'guest',
  severity: 'broken',
  at: 'L1',
  says: [
    {
      in: 'guest',
      re: /[Cc]ode 43|error code 43/,
      example: 'Windows has stopped this device because it has reported problems. (Code 43)',
      proof: 'mem',
    },
  ],
  why: 'Driver versions before 465 refuse under a visible hypervisor; later ones fail for other reasons - no usable VBIOS (primary GPU), legacy BIOS guest, line interrupts, BAR or reset trouble, laptop GPUs without battery/ACPI tables.',
  see: [
    {
      read: 'plan: hypervisor bit, hv vendor id, firmware type, romfile',
      when: 'SeaBIOS, or boot_vga=1 on the host without romfile',
      sure: 'hint',
    },
    { read: '{d}/boot_vga', when: '1', sure: 'likely' },
  ],
  fix: [
    'current driver',
    'OVMF guest',
    'ROM file for a boot GPU',
    'MSI in the guest',
    'old drivers: kvm hidden and hv_vendor_id',
  ],
  beware: 'Many causes, one code. Check BAR, reset and framebuffer problems first.',
  sources: [
    'gh:joeknock90/Single-GPU-Passthrough#5',
    'gh:QaidVoid/Complete-Single-GPU-Passthrough#12',
    'gh:cyberus-technology/virtualbox-kvm#34',
    'gh:sk1080/nvidia-kvm-patcher#1',
    'gh:sk1080/nvidia-kvm-patcher#16',
    'gh:BigAnteater/KVM-Laptop-GPU-Passthrough#2',
  ],
  rules: [{ about: 'vm', asks: 'Would a Windows driver of NVIDIA start in it?', run: starts }],
};

function isNvidia(found: PciFunction): boolean {
  return found.vendor === 0x10de && found.class >>> 16 === 0x03;
}

function starts(vm: Vm, picture: Picture): Verdict {
  const given = vm.hostDevices.flatMap((host) => {
    const found = host.bdf === undefined ? undefined : functionOf(picture, host.bdf);
    return found !== undefined && isNvidia(found) ? [{ host, found }] : [];
  });
  if (given.length === 0) return notApplicable('it gets no GPU of NVIDIA');
  const seen: Evidence[] = given.map(({ host }) => ({ where: vm.from, text: host.device.text }));
  const against: string[] = [];
  const fix: string[] = [];
  const withoutRom = given.filter(({ host, found }) => found.bootVga === true && host.device.props.romfile === undefined);
  if (withoutRom.length > 0) {
    against.push(`${listed(withoutRom.map(({ found }) => found.bdf))} is the boot display of this host and has no romfile`);
    seen.push(...withoutRom.map(({ found }) => ({ where: at(found, 'boot_vga'), text: '1' })));
    fix.push('romfile= with a dump taken while another card was the boot display');
  }
  if (vm.firmware === 'seabios') {
    against.push('the guest boots with SeaBIOS');
    fix.push('OVMF as firmware of the guest');
  }
  if (against.length === 0)
    return pass('the guest has OVMF, and no GPU without a ROM of its own; old drivers also want the hypervisor hidden', ...seen);
  return {
    is: 'fail',
    because: `${against.join(', and ')}: its driver often stops with Code 43`,
    seen,
    fix: [...fix, 'a current driver'],
  };
}
