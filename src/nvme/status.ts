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
  0: 'Successful Completion',
  1: 'Invalid Command Opcode',
  2: 'Invalid Field in Command',
  3: 'Command ID Conflict',
  4: 'Data Transfer Error',
  5: 'Commands Aborted due to Power Loss Notification',
  6: 'Internal Error',
  7: 'Command Abort Requested',
  8: 'Command Aborted due to SQ Deletion',
  11: 'Invalid Namespace or Format',
  12: 'Command Sequence Error',
  18: 'Invalid Use of Controller Memory Buffer',
  19: 'PRP Offset Invalid',
  21: 'Operation Denied',
  26: 'Host Identifier Inconsistent Format',
  29: 'Sanitize In Progress',
  31: 'Invalid Value in a PRP or SGL',
  32: 'Namespace is Write Protected',
  33: 'Command Interrupted',
  34: 'Transient Transport Error',
  128: 'LBA Out of Range',
  129: 'Capacity Exceeded',
  130: 'Namespace Not Ready',
  131: 'Reservation Conflict',
  132: 'Format In Progress',
  256: 'Completion Queue Invalid',
  257: 'Invalid Queue Identifier',
  258: 'Invalid Queue Size',
  259: 'Abort Command Limit Exceeded',
  261: 'Asynchronous Event Request Limit Exceeded',
  262: 'Invalid Firmware Slot',
  263: 'Invalid Firmware Image',
  264: 'Invalid Interrupt Vector',
  265: 'Invalid Log Page',
  266: 'Invalid Format',
  268: 'Invalid Queue Deletion',
  269: 'Feature Identifier Not Saveable',
  270: 'Feature Not Changeable',
  271: 'Feature Not Namespace Specific',
  280: 'Namespace Already Attached',
  281: 'Namespace Is Private',
  282: 'Namespace Not Attached',
  284: 'Controller List Invalid',
  287: 'Invalid Controller Identifier',
  288: 'Invalid Secondary Controller State',
  289: 'Invalid Number of Controller Resources',
  290: 'Invalid Resource Identifier',
  640: 'Write Fault',
  641: 'Unrecovered Read Error',
  646: 'Access Denied',
  768: 'Internal Path Error',
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
