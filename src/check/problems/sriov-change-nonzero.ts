import { functionOf } from '../../host/picture.ts';
import { at, notApplicable, pass, unknown } from '../facts.ts';
import type { Problem } from '../problem.ts';

export const sriovChangeNonzero: Problem = {
  id: 'sriov-change-nonzero',
  title: 'sriov_numvfs cannot go from one non-zero number to another',
  category: 'sriov',
  severity: 'blocker',
  at: 'any',
  says: [
    {
      in: 'kernel',
      re: /(\d+) VFs already enabled\. Disable before enabling (\d+) VFs/,
      example: 'ixgbe 0000:01:00.0: 4 VFs already enabled. Disable before enabling 8 VFs',
      proof: 'src',
    },
    {
      in: 'write',
      re: /sriov_numvfs: (device or resource busy|Device or resource busy)/,
      example: 'write /sys/bus/pci/devices/0000:b5:00.0/sriov_numvfs: device or resource busy',
      proof: 'rep',
    },
    {
      in: 'write',
      re: /write error: Device(?= or resource busy)/,
      example: 'bash: echo: write error: Device or resource busy',
      proof: 'rep',
    },
  ],
  why: 'The SR-IOV capability allows all or none; the kernel answers EBUSY.',
  see: [{ read: '{d}/sriov_numvfs', when: 'non-zero and different from the wanted number', sure: 'certain' }],
  fix: ['equal: write nothing', 'else write 0 (destroys every VF, check users first), wait for virtfn links to go, write N'],
  beware:
    'Writing 0 pulls the VFs out from under running VMs (see sriov-vfs-in-use). Growing automatically was removed from Incus for that reason.',
  sources: [
    'gh:NVIDIA/doca-platform#58',
    'gh:openshift/sriov-network-operator#131',
    'gh:lxc/incus#2845',
    'gh:Mellanox/k8s-rdma-sriov-dev-plugin#12',
    'linux:drivers/pci/iov.c',
  ],
  rules: [
    {
      about: 'vm',
      asks: 'Are there enough VFs, or none yet?',
      run({ vfs }, picture) {
        if (vfs.length === 0) return notApplicable('it asks for no VFs to be made');
        const seen = [];
        const said = [];
        for (const { pf, count } of vfs) {
          const found = functionOf(picture, pf);
          const now = found?.sriov?.numVFs;
          if (found === undefined || now === undefined) return unknown(`how many VFs ${pf} has now could not be read`, ...seen);
          seen.push({ where: at(found, 'sriov_numvfs'), text: String(now) });
          if (now > 0 && now < count)
            return {
              is: 'fail',
              because: `${pf} has ${now} VFs and ${count} are wanted: the kernel changes the number only through 0, and answers EBUSY otherwise`,
              seen,
              fix: [`ask for ${now}`, `when nobody uses them: write 0 to ${at(found, 'sriov_numvfs')}, then ${count}`],
            };
          said.push(now === 0 ? `${pf} has none yet` : `${pf} has ${now}, and ${count} will do`);
        }
        return pass(said.join('; '), ...seen);
      },
    },
  ],
};
