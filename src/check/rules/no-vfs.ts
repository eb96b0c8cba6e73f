import { functionOf } from '../../host/picture.ts';
import { type Check, check } from '../check.ts';

export const noVfs: Check = check({
  id: 'sriov/no-vfs',
  asks: 'Would virtual functions go with it?',
  source:
    'Linux drivers/pci/iov.c pci_disable_sriov(): a PF driver that lets go removes the VFs; with vfio-pci on the PF its VFs need a token',
  run(picture, bdf) {
    const found = functionOf(picture, bdf);
    if (found?.sriov === undefined) return { is: 'not-applicable', because: 'it is no PF', seen: [] };
    const { virtfns } = found;
    const seen = [{ where: `/sys/bus/pci/devices/${bdf}/virtfn*`, text: virtfns.join(' ') || 'none' }];
    if (virtfns.length === 0) return { is: 'pass', because: 'it has no VFs now', seen };
    return {
      is: 'fail',
      because: `${virtfns.length} VFs of it exist, and would go with its driver`,
      seen,
      fix: ['pass one of its VFs instead', `when none of them is needed: echo 0 > /sys/bus/pci/devices/${bdf}/sriov_numvfs`],
    };
  },
});
