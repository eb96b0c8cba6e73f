import { functionOf } from '../../host/picture.ts';
import { type Check, check } from '../check.ts';
import { makesVfs } from '../sriov.ts';

export const sriovCapable: Check = check({
  id: 'sriov/capable',
  asks: 'Can it make virtual functions?',
  source: 'PCIe 6.0 §9.3.3 SR-IOV Extended Capability; Linux drivers/pci/iov.c sriov_numvfs_store()',
  run(picture, bdf) {
    const pf = functionOf(picture, bdf);
    const where = `/sys/bus/pci/devices/${bdf}`;
    if (pf === undefined) return { is: 'unknown', because: 'there is no such function', seen: [] };
    if (pf.physfn !== undefined)
      return {
        is: 'fail',
        because: `it is itself a virtual function, of ${pf.physfn}`,
        seen: [{ where: `${where}/physfn`, text: pf.physfn }],
        fix: [`name ${pf.physfn} as pf, or pass this very function by its address`],
      };
    if (pf.sriov === undefined || pf.sriov.totalVFs === 0)
      return {
        is: 'fail',
        because: pf.sriov === undefined ? 'it has no SR-IOV capability' : 'TotalVFs is 0',
        seen: [{ where: `${where}/sriov_totalvfs`, text: pf.sriov === undefined ? 'absent' : '0' }],
        fix: [
          'pass the whole function by its address',
          'some cards show SR-IOV only after it is turned on in firmware or in their own configuration',
        ],
      };
    const driver = makesVfs(picture, pf);
    if (driver.is === 'fail') return driver;
    if (pf.driver === 'vfio-pci')
      return {
        is: 'fail',
        because: 'its PF is bound to vfio-pci: each VF then needs the token of the process that owns the PF',
        seen: driver.seen,
        fix: ['bind the PF to its own driver first'],
      };
    return {
      is: 'pass',
      because: `TotalVFs is ${pf.sriov.totalVFs}`,
      seen: [{ where: `${where}/sriov_totalvfs`, text: String(pf.sriov.totalVFs) }],
    };
  },
});
