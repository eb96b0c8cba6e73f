import { barsPlaced } from '../limits/vm-limits.ts';
import type { Problem } from '../problem.ts';

export const guestMmio64Window: Problem = {
  id: 'guest-mmio64-window',
  title: "The guest's 64-bit PCI window is too small for the device's BARs",
  category: 'bar',
  severity: 'broken',
  at: 'L1',
  says: [
    {
      in: 'guest',
      re: /(?<!VF )\bBAR ?[0-5](:| \[mem[^\]]*\]:) (can't assign; no space|(no space for|failed to assign)(?! \[io\b))/,
      example: 'pci 0000:01:00.0: BAR 1: no space for [mem size 0x800000000 64bit pref]',
      proof: 'rep',
    },
    {
      in: 'guest',
      re: /NVRM: This PCI I\/O region assigned to your NVIDIA device is invalid/,
      example: 'NVRM: This PCI I/O region assigned to your NVIDIA device is invalid:',
      proof: 'mem',
    },
    {
      in: 'guest',
      re: /can't assign(?=; no space)/,
      example: "pci 0000:05:00.0: can't assign; no space",
      proof: 'rep',
    },
  ],
  why: 'Firmware sizes the window (OVMF 32 GiB by default or from phys-bits); resizable BAR makes a GPU ask for its full memory, SR-IOV PFs ask for all VF BARs.',
  see: [
    {
      read: '{d}/resource sizes of 64-bit prefetchable BARs, plus {d}/sriov_totalvfs x VF BAR size for an assigned PF, rounded up per root port',
      when: 'sum > window of the planned firmware',
      sure: 'certain',
    },
  ],
  fix: [
    '-fw_cfg name=opt/ovmf/X-PciMmio64Mb,string=<MiB>',
    'host-phys-bits=on so newer OVMF sizes dynamically',
    'root port pref64-reserve= for hot-plug',
    'shrink with resourceN_resize before start',
  ],
  beware: 'On old OVMF the value is a minimum and a very large window makes old guests boot for minutes. SeaBIOS differs.',
  sources: [
    'gh:tianocore/edk2#9932',
    'gh:tianocore/edk2#8745',
    'gh:tianocore/edk2#10856',
    'gh:LekKit/RVVM#197',
    'gh:NVIDIA/nvtrust#56',
    'gh:Coopydood/ultimate-macOS-KVM#114',
  ],
  rules: [{ about: 'vm', asks: 'Does the 64-bit window of the firmware hold the BARs?', run: barsPlaced }],
};
