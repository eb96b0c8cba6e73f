import { bit, entry, field, reserved } from '../bits/entry.ts';

/** Status of a completion without its phase tag: what Linux returns from NVME_IOCTL_ADMIN_CMD. */
export const StatusField = entry(
  'Status Field',
  { source: 'NVMe 1.4 §4.6.1', bits: 16 },
  {
    SC: field(7, 0, 'Status Code'),
    SCT: field(10, 8, 'Status Code Type', { generic: 0, commandSpecific: 1, media: 2, path: 3, vendor: 7 }),
    CRD: field(12, 11, 'Command Retry Delay'),
    M: bit(13, 'More'),
    DNR: bit(14, 'Do Not Retry'),
    RSVD_15: reserved(15),
  },
);

export interface NvmeStatus {
  ok: boolean;
  /** Status Code Type. */
  sct: number;
  /** Status Code. */
  sc: number;
  doNotRetry: boolean;
  /** The specification's words, or the numbers where it has none here. */
  says: string;
}

/** Status Code Type in bits 10:8, Status Code in 7:0. NVMe 1.4 §4.6.1.1, §4.6.1.2. */
const SAYS: { readonly [code: number]: string } = {
  0x000: 'Successful Completion',
  0x001: 'Invalid Command Opcode',
  0x002: 'Invalid Field in Command',
  0x003: 'Command ID Conflict',
  0x004: 'Data Transfer Error',
  0x005: 'Commands Aborted due to Power Loss Notification',
  0x006: 'Internal Error',
  0x007: 'Command Abort Requested',
  0x008: 'Command Aborted due to SQ Deletion',
  0x00b: 'Invalid Namespace or Format',
  0x00c: 'Command Sequence Error',
  0x012: 'Invalid Use of Controller Memory Buffer',
  0x013: 'PRP Offset Invalid',
  0x015: 'Operation Denied',
  0x01a: 'Host Identifier Inconsistent Format',
  0x01d: 'Sanitize In Progress',
  0x01f: 'Invalid Value in a PRP or SGL',
  0x020: 'Namespace is Write Protected',
  0x021: 'Command Interrupted',
  0x022: 'Transient Transport Error',
  0x080: 'LBA Out of Range',
  0x081: 'Capacity Exceeded',
  0x082: 'Namespace Not Ready',
  0x083: 'Reservation Conflict',
  0x084: 'Format In Progress',
  0x100: 'Completion Queue Invalid',
  0x101: 'Invalid Queue Identifier',
  0x102: 'Invalid Queue Size',
  0x103: 'Abort Command Limit Exceeded',
  0x105: 'Asynchronous Event Request Limit Exceeded',
  0x106: 'Invalid Firmware Slot',
  0x107: 'Invalid Firmware Image',
  0x108: 'Invalid Interrupt Vector',
  0x109: 'Invalid Log Page',
  0x10a: 'Invalid Format',
  0x10c: 'Invalid Queue Deletion',
  0x10d: 'Feature Identifier Not Saveable',
  0x10e: 'Feature Not Changeable',
  0x10f: 'Feature Not Namespace Specific',
  0x118: 'Namespace Already Attached',
  0x119: 'Namespace Is Private',
  0x11a: 'Namespace Not Attached',
  0x11c: 'Controller List Invalid',
  0x11f: 'Invalid Controller Identifier',
  0x120: 'Invalid Secondary Controller State',
  0x121: 'Invalid Number of Controller Resources',
  0x122: 'Invalid Resource Identifier',
  0x280: 'Write Fault',
  0x281: 'Unrecovered Read Error',
  0x286: 'Access Denied',
  0x300: 'Internal Path Error',
};

/** @param status 15 bits: the Status Field above the phase tag */
export function decodeStatus(status: number): NvmeStatus {
  const view = new DataView(new ArrayBuffer(StatusField.bytes));
  view.setUint16(0, status & 0x7fff, true);
  const { SC, SCT, DNR } = StatusField.decode(view);
  const code = (SCT << 8) | SC;
  const type = StatusField.nameOf('SCT', SCT) ?? `type ${SCT}`;
  return {
    ok: code === 0,
    sct: SCT,
    sc: SC,
    doNotRetry: DNR === 1,
    says: SAYS[code] ?? `${type} status 0x${SC.toString(16).padStart(2, '0')}`,
  };
}
