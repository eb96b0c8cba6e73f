import { functionOf } from '../../host/picture.ts';
import { sriovOf } from '../../pci/index.ts';
import { at, notApplicable, pass } from '../facts.ts';
import { configOf } from '../index-of.ts';
import type { Problem } from '../problem.ts';
import { countRefused } from '../sriov.ts';

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
  rules: [
    {
      about: 'function',
      asks: 'May it have VFs at all?',
      run(_, found) {
        if (found.sriov === undefined) return notApplicable('it is no PF');
        const { totalVFs } = found.sriov;
        const seen = [{ where: at(found, 'sriov_totalvfs'), text: String(totalVFs) }];
        const capability = configOf(found);
        const most = capability === undefined ? undefined : sriovOf(capability)?.TotalVFs;
        if (most !== undefined) seen.push({ where: `${at(found, 'config')}, TotalVFs`, text: String(most) });
        if (totalVFs === 0)
          return {
            is: 'fail',
            because:
              most === undefined || most === 0
                ? 'it has the SR-IOV capability, and TotalVFs is 0: SR-IOV is off in the firmware of the device or of the machine'
                : `its capability allows ${most} VFs, and its driver none`,
            seen,
          };
        return pass(
          most !== undefined && most !== totalVFs
            ? `up to ${totalVFs} VFs; the capability has ${most}, and the driver took the rest back when it was loaded`
            : `up to ${totalVFs} VFs${found.driver === undefined ? '; a driver may lower that when it is loaded' : ''}`,
          ...seen,
        );
      },
    },
    {
      about: 'vm',
      asks: 'Can its PFs have as many VFs as it wants?',
      run({ vfs }, picture) {
        if (vfs.length === 0) return notApplicable('it asks for no VFs to be made');
        for (const { pf, count } of vfs) {
          const found = functionOf(picture, pf);
          const refused = found === undefined ? undefined : countRefused(found, count);
          if (refused !== undefined) {
            const { id: _, ...verdict } = refused;
            return { ...verdict, because: `${pf}: ${verdict.because}` };
          }
        }
        return pass(
          vfs.map(({ pf, count }) => `${count} of ${functionOf(picture, pf)?.sriov?.totalVFs ?? 0} VFs of ${pf}`).join(', '),
          ...vfs.map(({ pf }) => ({
            where: `/sys/bus/pci/devices/${pf}/sriov_totalvfs`,
            text: String(functionOf(picture, pf)?.sriov?.totalVFs ?? 'absent'),
          })),
        );
      },
    },
  ],
};
