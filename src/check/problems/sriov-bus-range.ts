import type { PciFunction } from '../../host/functions.ts';
import type { Picture } from '../../host/picture.ts';
import { express2Of, sriovOf } from '../../pci/index.ts';
import type { Evidence } from '../check.ts';
import { at, notApplicable, pass, unknown } from '../facts.ts';
import { configOf } from '../index-of.ts';
import type { Problem } from '../problem.ts';
import { bridgeAbove, vfsOnBuses } from '../sriov.ts';

export const sriovBusRange: Problem = {
  id: 'sriov-bus-range',
  title: 'VF routing ids spill over to a bus number the bridge does not own',
  category: 'sriov',
  severity: 'blocker',
  at: 'any',
  says: [
    {
      in: 'kernel',
      re: /can't enable (\d+) VFs \(bus ([0-9a-f]{2}) out of range of \[bus/,
      example: "ixgbe 0000:03:00.0: can't enable 63 VFs (bus 04 out of range of [bus 03])",
      proof: 'src',
    },
  ],
  why: 'VF i (counted from 1) has RID = PF RID + First VF Offset + (i-1) x VF Stride. Without ARI the offset is larger and VFs sit on the next bus; firmware must have reserved it (subordinate bus).',
  see: [
    {
      read: 'SR-IOV capability First VF Offset (+14h), VF Stride (+16h), InitialVFs; subordinate bus of the port above',
      when: '(PF RID + offset + (N-1)*stride) >> 8 > subordinate',
      sure: 'certain',
    },
    {
      read: 'port above: DevCap2 bit 5 ARI forwarding supported, DevCtl2 bit 5',
      when: 'supported but 0, or unsupported with TotalVFs > 7',
      sure: 'likely',
    },
  ],
  fix: ['firmware ARI option', 'pci=assign-busses', 'fewer VFs', 'another slot'],
  beware:
    'Offset and stride may change when NumVFs or ARI Capable Hierarchy changes; read them after setting NumVFs, as the specification says.',
  sources: [
    'gh:GPUOpen-LibrariesAndSDKs/MxGPU-Virtualization#18',
    'gh:tianocore/edk2#9745',
    'gh:tianocore/edk2#10273',
    'gh:tianocore/edk2#10186',
    'gh:microsoft/openvmm#3991',
    'linux:drivers/pci/iov.c',
  ],
  rules: [
    {
      about: 'function',
      asks: 'Have all its VFs a bus number that the bridge above passes down?',
      run(picture, found) {
        if (found.sriov === undefined) return notApplicable('it is no PF');
        const { totalVFs, firstVFOffset, vfStride, numVFs } = found.sriov;
        if (totalVFs === 0) return notApplicable('it can have no VFs');
        const room = vfsOnBuses(picture, found);
        const seen: Evidence[] = [
          { where: at(found, 'sriov_offset'), text: String(firstVFOffset) },
          { where: at(found, 'sriov_stride'), text: String(vfStride) },
          ...hierarchy(picture, found),
        ];
        if (room === undefined || (firstVFOffset === 0 && vfStride === 0))
          return unknown('First VF Offset and VF Stride are not set: only the device knows where its VFs will be', ...seen);
        const { fit, bus, last } = room;
        // Both may be others once NumVFs is set: PCIe 6.0 §9.3.3.9.
        const proviso = numVFs === 0 ? ', unless offset or stride change when NumVFs is set' : '';
        if (last === undefined)
          return fit >= totalVFs
            ? pass(`all ${totalVFs} VFs are on its own bus`, ...seen)
            : unknown(`${totalVFs} VFs reach bus ${hex(bus)}, and where the root bus ends is not shown`, ...seen);
        seen.push({ where: `${at(bridgeAbove(picture, found) ?? found, 'config')}, Subordinate Bus Number`, text: hex(last) });
        if (fit >= totalVFs)
          return pass(`all ${totalVFs} VFs are on buses up to ${hex(bus)}, and the bridge above passes ${hex(last)}`, ...seen);
        if (numVFs !== undefined && numVFs > fit)
          return unknown(
            `${numVFs} VFs exist, and the bridge above says that ${fit} could: one of the numbers is not what the kernel goes by`,
            ...seen,
          );
        return {
          is: 'fail',
          because: `${fit} of ${totalVFs} VFs can be had: the last would be on bus ${hex(bus)}, and the bridge above passes buses up to ${hex(last)}${proviso}; more give ENOMEM, for want of bus numbers and not of memory`,
          seen,
        };
      },
    },
  ],
};

/** Whether the PF and the port above it use ARI: without it VFs need more bus numbers. */
function hierarchy(picture: Picture, found: PciFunction): Evidence[] {
  const above = bridgeAbove(picture, found);
  const own = configOf(found);
  const port = above === undefined ? undefined : configOf(above);
  const sriov = own === undefined ? undefined : sriovOf(own);
  const express = port === undefined ? undefined : express2Of(port);
  return [
    ...(sriov === undefined
      ? []
      : [{ where: `${at(found, 'config')}, ARI Capable Hierarchy`, text: String(sriov.ARICapableHierarchy) }]),
    ...(express === undefined || above === undefined
      ? []
      : [
          {
            where: `${at(above, 'config')}, ARI Forwarding`,
            text: `supported ${express.ARIForwardingSupported}, enabled ${express.ARIForwardingEnable}`,
          },
        ]),
  ];
}

function hex(bus: number): string {
  return bus.toString(16).padStart(2, '0');
}
