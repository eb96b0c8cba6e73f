import type { PciFunction } from '../../host/functions.ts';
import { functionOf, type Picture } from '../../host/picture.ts';
import type { Verdict } from '../check.ts';
import { at, notApplicable, pass, unknown } from '../facts.ts';
import type { Problem } from '../problem.ts';

export const igdHostBridge: Problem = {
  id: 'igd-host-bridge',
  title: 'Integrated graphics needs the host bridge, OpRegion and stolen memory to be what its driver expects',
  category: 'guest',
  severity: 'broken',
  at: 'L0',
  says: [
    {
      in: 'qemu',
      re: /failed to read IGD OpRegion|IGD legacy mode|IGD .*device ROM required/,
      example: 'failed to read IGD OpRegion',
      proof: 'src',
    },
    {
      in: 'kernel',
      re: /vfio-pci [0-9a-f:.]+: Failed to setup Intel IGD regions/,
      example: 'vfio-pci 0000:00:02.0: Failed to setup Intel IGD regions',
      proof: 'src',
    },
  ],
  why: "vfio-pci's IGD support wants a class 0x0600 host bridge at 00:00.0 and an OpRegion in ASLS; VMD or odd firmware changes 00:00.0.",
  see: [
    { read: 'class of 0000:00:00.0', when: 'not 0x060000', sure: 'certain' },
    { read: 'config 0xFC (ASLS) of 00:02.0', when: '0', sure: 'likely' },
  ],
  fix: ['VMD off', 'x-igd-opregion=on with a ROM/OVMF package', 'an SR-IOV VF of the iGPU on 12th gen or newer'],
  beware: 'Not the first choice for a first passthrough.',
  sources: [
    'gh:intel/gvt-linux#203',
    'gh:vivekmiyani/OSX_GVT-D#7',
    'linux:drivers/vfio/pci/vfio_pci_igd.c',
    'qemu:hw/vfio/igd.c',
  ],
  rules: [
    {
      about: 'function',
      asks: 'Are the host bridge and the OpRegion what the driver of the integrated GPU expects?',
      run: asExpected,
    },
  ],
};

const INTEGRATED = '0000:00:02.0';
const HOST_BRIDGE = '0000:00:00.0';
/** Where the integrated GPU has the address of its OpRegion. Source: Linux drivers/vfio/pci/vfio_pci_igd.c. */
const ASLS = 0xfc;

function asExpected(picture: Picture, found: PciFunction): Verdict {
  if (found.bdf !== INTEGRATED || found.vendor !== 0x8086 || found.class >>> 16 !== 0x03)
    return notApplicable('it is no integrated GPU of Intel');
  const bridge = functionOf(picture, HOST_BRIDGE);
  const seen = [
    {
      where: `/sys/bus/pci/devices/${HOST_BRIDGE}/class`,
      text: bridge === undefined ? 'absent' : `0x${bridge.class.toString(16).padStart(6, '0')}`,
    },
  ];
  if (bridge === undefined || bridge.class >>> 8 !== 0x0600)
    return {
      is: 'fail',
      because:
        bridge === undefined
          ? `there is no ${HOST_BRIDGE}`
          : `${HOST_BRIDGE} is no host bridge but of class 0x${bridge.class.toString(16).padStart(6, '0')}`,
      seen,
    };
  const { config } = found;
  if (config === undefined || config.length < ASLS + 4)
    return unknown('the address of its OpRegion is at fch of its configuration space: look as root', ...seen, {
      where: at(found, 'config'),
      text: `${config?.length ?? 0} bytes`,
    });
  const address = new DataView(config.buffer, config.byteOffset).getUint32(ASLS, true);
  seen.push({ where: `${at(found, 'config')} offset fch`, text: `0x${address.toString(16).padStart(8, '0')}` });
  if (address === 0)
    return {
      is: 'fail',
      because: 'firmware left no OpRegion for it (ASLS is 0), where its driver looks for the displays',
      seen,
    };
  return pass(`${HOST_BRIDGE} is a host bridge, and there is an OpRegion`, ...seen);
}
