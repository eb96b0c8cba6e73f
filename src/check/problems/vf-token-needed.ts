import { functionOf } from '../../host/picture.ts';
import { at, notApplicable, pass, unknown } from '../facts.ts';
import type { Problem } from '../problem.ts';

export const vfTokenNeeded: Problem = {
  id: 'vf-token-needed',
  title: 'The PF is driven by vfio-pci, so every VF (and the PF) needs the shared VF token',
  category: 'sriov',
  severity: 'blocker',
  at: 'any',
  says: [
    {
      in: 'kernel',
      re: /VF token required to access device/,
      example: 'vfio-pci 0000:4c:00.4: VF token required to access device',
      proof: 'src',
    },
    {
      in: 'kernel',
      re: /Incorrect VF token provided for device/,
      example: 'vfio-pci 0000:4c:00.4: Incorrect VF token provided for device',
      proof: 'src',
    },
    {
      in: 'kernel',
      re: /VF token incorrectly provided, (PF not bound to vfio-pci|not a PF or VF)/,
      example: 'vfio-pci 0000:4c:00.4: VF token incorrectly provided, PF not bound to vfio-pci',
      proof: 'src',
    },
  ],
  why: 'A user-space PF driver controls its VFs; the UUID is the mutual consent.',
  see: [
    {
      read: '{d}/physfn/driver',
      when: 'vfio-pci (then a token is required) ; any other driver (then a token must NOT be given)',
      sure: 'certain',
    },
    { read: '/sys/module/vfio_pci/parameters/enable_sriov', when: 'N while VFs of a vfio-bound PF are wanted', sure: 'certain' },
  ],
  fix: ['vf-token=<uuid> on each vfio-pci device, the same that the PF user set', 'use the normal PF driver'],
  beware: 'Over iommufd older QEMUs do not pass the token. Giving a token where none is needed fails as well.',
  sources: [
    'gh:intel/sriov-fec-operator#32',
    'gh:SamsungDS/libvfn#59',
    'gh:OFS/opae-sdk#1771',
    'gh:NVIDIA/QEMU#38',
    'linux:drivers/vfio/pci/vfio_pci_core.c',
  ],
  rules: [
    {
      about: 'function',
      asks: 'Can it be opened without a VF token?',
      run(picture, found) {
        const pf = found.physfn === undefined ? found : functionOf(picture, found.physfn);
        if (found.physfn === undefined && found.virtfns.length === 0) return notApplicable('it is no VF, and has none');
        if (pf === undefined) return unknown(`its PF ${found.physfn} could not be read`);
        const seen = { where: at(pf, 'driver'), text: pf.driver ?? 'absent' };
        if (pf.driver !== 'vfio-pci')
          return pass(`its PF has ${pf.driver ?? 'no driver'}, not vfio-pci: no token, and one that is given is refused`, seen);
        return {
          is: 'fail',
          because: `${pf === found ? 'it' : `its PF ${pf.bdf}`} is driven by vfio-pci and has VFs: to open any of them VFIO demands the token that the user of the PF set (EACCES)`,
          seen: [seen],
        };
      },
    },
    {
      about: 'vm',
      asks: 'Is a VF token given where VFIO demands one, and only there?',
      run(vm, picture) {
        const seen = [];
        const wrong = [];
        let judged = 0;
        for (const { bdf, pf: planned, device } of vm.hostDevices) {
          const found = bdf === undefined ? undefined : functionOf(picture, bdf);
          const pf = functionOf(picture, found?.physfn ?? planned ?? '');
          // A PF is asked for it only while it has VFs.
          const owner = pf ?? (found !== undefined && found.virtfns.length > 0 ? found : undefined);
          if (found === undefined && owner === undefined) continue;
          judged++;
          const token = device.props['vf-token'] !== undefined;
          const demanded = owner?.driver === 'vfio-pci';
          seen.push({ where: vm.from, text: device.text });
          if (owner !== undefined) seen.push({ where: at(owner, 'driver'), text: owner.driver ?? 'absent' });
          if (demanded && !token) wrong.push(`${bdf} needs vf-token=, because ${owner.bdf} is on vfio-pci`);
          if (token && !demanded) wrong.push(`${bdf} is given a token and must not be, because its PF is not on vfio-pci`);
        }
        if (vm.hostDevices.length === 0) return notApplicable('it has no host devices');
        if (wrong.length > 0) return { is: 'fail', because: wrong.join('; '), seen };
        if (judged === 0) return unknown('none of its host devices is a function of this host', ...seen);
        return pass('no host device needs a token that it is not given', ...seen);
      },
    },
  ],
};
