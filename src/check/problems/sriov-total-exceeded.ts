import type { Problem } from '../problem.ts';

export const sriovTotalExceeded: Problem = {
  id: 'sriov-total-exceeded',
  title: 'More VFs asked than TotalVFs, or TotalVFs is 0 because SR-IOV is off in device or system firmware',
  category: 'sriov',
  severity: 'blocker',
  at: 'any',
  says: [
    {
      in: 'write',
      re: /write error: Numerical result out of range|sriov_numvfs: numerical result out of range/,
      example: 'bash: echo: write error: Numerical result out of range',
      proof: 'rep',
    },
    {
      in: 'kernel',
      re: /(\d+) VFs requested; only (\d+) enabled/,
      example: 'ice 0000:3b:00.0: 64 VFs requested; only 32 enabled',
      proof: 'src',
    },
  ],
  why: 'TotalVFs comes from the SR-IOV capability (NIC firmware) and may be lowered by the driver; ConnectX needs mlxconfig SRIOV_EN/NUM_OF_VFS and a cold reset.',
  see: [
    { read: '{d}/sriov_totalvfs', when: 'smaller than wanted', sure: 'certain' },
    { read: 'config ext cap 0x0010', when: 'absent although the model supports SR-IOV', sure: 'likely' },
  ],
  fix: ['device firmware tool then power cycle', 'system firmware SR-IOV option', 'lower the number'],
  beware: 'sriov_totalvfs can shrink under a driver limit (pci_sriov_set_totalvfs) while the capability shows more.',
  sources: [
    'gh:k8snetworkplumbingwg/sriov-network-device-plugin#536',
    'gh:k8snetworkplumbingwg/sriov-network-device-plugin#601',
    'gh:openshift/sriov-network-operator#233',
    'gh:strongtz/i915-sriov-dkms#143',
    'linux:drivers/pci/iov.c',
  ],
  rules: [],
};
