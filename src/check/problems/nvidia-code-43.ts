import type { Problem } from '../problem.ts';

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
  rules: [],
};
