import { at, notApplicable, pass } from '../facts.ts';
import type { Problem } from '../problem.ts';

export const sriovNotOffered: Problem = {
  id: 'sriov-not-offered',
  title: 'The adapter offers no VFs: SR-IOV is switched off in it or in firmware',
  category: 'sriov',
  severity: 'blocker',
  at: 'any',
  says: [
    {
      in: 'kernel',
      re: /(has|have) no (sriov_)?totalvfs\b|(sriov_)?totalvfs\b.{0,40}(not found|does not exist|: No such file|is 0\b)/i,
      example: 'the node state of ens1f0 has no totalvfs; SR-IOV cannot be configured',
      proof: 'rep',
    },
    {
      in: 'kernel',
      re: /SR-IOV (is |was )?(not (supported|enabled)|disabled)( by| in| on)? (the )?(BIOS|firmware|adapter|device|NIC|hardware)/i,
      example: 'enic 0000:0a:00.0: SR-IOV not supported by adapter',
      proof: 'mem',
    },
  ],
  why: 'The SR-IOV capability is there only when the firmware of the adapter, and often that of the machine, has it switched on; then sriov_totalvfs is above 0.',
  see: [{ read: '{d}/sriov_totalvfs', when: 'absent for an adapter that can do SR-IOV, or 0', sure: 'likely' }],
  fix: [
    "enable SR-IOV in the machine's firmware (BIOS), for the slot or globally",
    "and in the adapter's own: mlxconfig SRIOV_EN=1 NUM_OF_VFS=n, the option ROM or the vendor's tool for others",
  ],
  beware:
    'Adapters that can do SR-IOV and have it switched off look the same as those that cannot: only the data sheet tells them apart.',
  sources: ['gh:k8snetworkplumbingwg/sriov-network-operator', 'linux:Documentation/ABI/testing/sysfs-bus-pci sriov_totalvfs'],
  rules: [
    {
      about: 'function',
      asks: 'Does it offer VFs?',
      run(_, found) {
        if (found.sriov === undefined) return notApplicable('it has no SR-IOV capability');
        const seen = { where: at(found, 'sriov_totalvfs'), text: String(found.sriov.totalVFs) };
        if (found.sriov.totalVFs > 0) return pass(`it offers ${found.sriov.totalVFs} VFs`, seen);
        return { is: 'fail', because: 'it has the SR-IOV capability and offers 0 VFs', seen: [seen] };
      },
    },
  ],
};
