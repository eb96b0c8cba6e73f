import { functionOf } from '../../host/picture.ts';
import { at, notApplicable, pass, unknown } from '../facts.ts';
import type { Problem } from '../problem.ts';

export const vfCreationRace: Problem = {
  id: 'vf-creation-race',
  title: 'The write to sriov_numvfs returned but not all VFs are usable yet',
  category: 'sriov',
  severity: 'broken',
  at: 'any',
  says: [
    {
      in: 'kernel',
      re: /mlx5_core .*: (Failed setting eswitch to offloads|E-Switch: Failed)/,
      example: 'mlx5_core 0101:00:00.0: E-Switch: Failed to create slow path FDB Table err -22',
      proof: 'rep',
    },
  ],
  why: 'Sysfs links, drivers and firmware state of VFs settle asynchronously; on some NICs the eswitch mode must be set before VFs exist.',
  see: [
    { read: 'count of {d}/virtfn* and existence of each target config', when: 'less than sriov_numvfs', sure: 'certain' },
    { read: 'devlink eswitch mode', when: 'not the wanted one while VFs exist', sure: 'certain' },
  ],
  fix: ['poll for all virtfn links and udev settle', 'set switchdev before creating VFs'],
  beware: 'The right order differs by vendor; keep it as data.',
  sources: ['gh:k8snetworkplumbingwg/sriov-network-operator#1015', 'gh:k8snetworkplumbingwg/sriov-network-operator#1019'],
  rules: [
    {
      about: 'function',
      asks: 'Are all its VFs there?',
      run(picture, found) {
        if (found.sriov === undefined) return notApplicable('it is no PF');
        const { numVFs } = found.sriov;
        const number = { where: at(found, 'sriov_numvfs'), text: numVFs === undefined ? 'no answer in time' : String(numVFs) };
        if (numVFs === undefined) return unknown('a change of the number of its VFs is under way', number);
        if (numVFs === 0) return notApplicable('it has no VFs now', number);
        const there = found.virtfns.filter((bdf) => functionOf(picture, bdf) !== undefined);
        const links = { where: at(found, 'virtfn*'), text: `${found.virtfns.length}, of which ${there.length} can be read` };
        if (there.length < numVFs)
          return {
            is: 'fail',
            because: `NumVFs is ${numVFs}, and ${there.length} VFs are there: the others are still being made, or could not be read`,
            seen: [number, links],
          };
        return pass(`all ${numVFs} VFs are there`, number, links);
      },
    },
  ],
};
