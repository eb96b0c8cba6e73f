import type { Problem } from '../problem.ts';

export const sriovBusRange: Problem = {
  id: 'sriov-bus-range',
  title: 'VF routing ids spill over to a bus number the bridge does not own',
  category: 'sriov',
  severity: 'blocker',
  at: 'any',
  says: [
    {
      in: 'kernel',
      re: /can't enable (\d+) VFs \(bus ([0-9a-f]{2}) out of range of \[bus/,
      example: "ixgbe 0000:03:00.0: can't enable 63 VFs (bus 04 out of range of [bus 03])",
      proof: 'src',
    },
  ],
  why: 'VF i (counted from 1) has RID = PF RID + First VF Offset + (i-1) x VF Stride. Without ARI the offset is larger and VFs sit on the next bus; firmware must have reserved it (subordinate bus).',
  see: [
    {
      read: 'SR-IOV capability First VF Offset (+14h), VF Stride (+16h), InitialVFs; subordinate bus of the port above',
      when: '(PF RID + offset + (N-1)*stride) >> 8 > subordinate',
      sure: 'certain',
    },
    {
      read: 'port above: DevCap2 bit 5 ARI forwarding supported, DevCtl2 bit 5',
      when: 'supported but 0, or unsupported with TotalVFs > 7',
      sure: 'likely',
    },
  ],
  fix: ['firmware ARI option', 'pci=assign-busses', 'fewer VFs', 'another slot'],
  beware:
    'Offset and stride may change when NumVFs or ARI Capable Hierarchy changes; read them after setting NumVFs, as the specification says.',
  sources: [
    'gh:GPUOpen-LibrariesAndSDKs/MxGPU-Virtualization#18',
    'gh:tianocore/edk2#9745',
    'gh:tianocore/edk2#10273',
    'gh:tianocore/edk2#10186',
    'gh:microsoft/openvmm#3991',
    'linux:drivers/pci/iov.c',
  ],
  rules: [],
};
