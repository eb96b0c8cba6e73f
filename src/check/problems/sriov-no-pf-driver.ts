import { functionOf } from '../../host/picture.ts';
import { portType, sriovOf } from '../../pci/index.ts';
import { at, notApplicable, pass, unknown } from '../facts.ts';
import { configOf } from '../index-of.ts';
import type { Problem } from '../problem.ts';
import { dependencyOf, makesVfs } from '../sriov.ts';

export const sriovNoPfDriver: Problem = {
  id: 'sriov-no-pf-driver',
  title: 'sriov_numvfs fails because the PF has no driver or its driver has no SR-IOV support',
  category: 'sriov',
  severity: 'blocker',
  at: 'any',
  says: [
    {
      in: 'kernel',
      re: /no driver bound to device; cannot configure SR-IOV/,
      example: 'pci 0000:01:00.0: no driver bound to device; cannot configure SR-IOV',
      proof: 'src',
    },
    {
      in: 'kernel',
      re: /driver does not support SR-IOV configuration via sysfs/,
      example: 'i915 0000:00:02.0: driver does not support SR-IOV configuration via sysfs',
      proof: 'src',
    },
    {
      in: 'write',
      re: /sriov_numvfs: (no such file or directory|No such file or directory)|write error: No such file or directory/,
      example: 'bash: echo: write error: No such file or directory',
      proof: 'rep',
    },
  ],
  why: 'The kernel returns ENOENT in both cases; it reads like a missing file, which it is not.',
  see: [
    { read: '{d}/driver', when: 'missing', sure: 'certain' },
    {
      read: 'driver name',
      when: 'not in the list of drivers with sriov_configure; vfio-pci needs enable_sriov=1',
      sure: 'likely',
    },
  ],
  fix: [
    'bind the PF driver',
    'driver-specific switch (i915 max_vfs, vfio-pci enable_sriov=1, pci-pf-stub for devices without PF driver)',
  ],
  beware: 'Old drivers take max_vfs= as a module parameter and ignore sysfs.',
  sources: ['gh:strongtz/i915-sriov-dkms#143', 'gh:NVIDIA/doca-platform#54', 'gh:SamsungDS/libvfn#21', 'linux:drivers/pci/iov.c'],
  rules: [
    {
      about: 'function',
      asks: 'Does its driver make VFs?',
      run: (picture, found) =>
        found.sriov === undefined || found.sriov.totalVFs === 0 ? notApplicable('it can have no VFs') : makesVfs(picture, found),
    },
    {
      about: 'function',
      asks: 'Is the function that its VFs depend on a PF?',
      run(picture, found) {
        const config = configOf(found);
        const sriov = config === undefined ? undefined : sriovOf(config);
        if (found.sriov === undefined) return notApplicable('it is no PF');
        if (config === undefined || sriov === undefined)
          return unknown('its SR-IOV capability could not be read: that needs root');
        const { FunctionDependencyLink: link } = sriov;
        const other = dependencyOf(found, link, portType(config) === 'integratedEndpoint');
        const seen = { where: `${at(found, 'config')}, Function Dependency Link`, text: `0x${link.toString(16)}` };
        if (other === undefined || other === found.bdf) return pass('its VFs depend on no other function', seen);
        const named = functionOf(picture, other);
        if (named?.sriov !== undefined) return pass(`its VFs depend on ${other}, which is a PF`, seen);
        return {
          is: 'fail',
          because: `its VFs depend on ${other}, which ${named === undefined ? 'is not there' : 'is no PF'}: a write to sriov_numvfs gives ${named === undefined ? 'ENODEV' : 'ENOSYS'}`,
          seen: [seen, { where: `/sys/bus/pci/devices/${other}/sriov_totalvfs`, text: 'absent' }],
          fix: ['put the PF at function 0 of its slot', 'make VFs of another PF'],
        };
      },
    },
  ],
};
