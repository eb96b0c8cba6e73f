import { type AmdEvent, flagsInWords } from './amdvi.ts';
import { contradictionIn, statusBits, type VtdFault, type VtdInvalidation, type VtdStatus } from './vtd.ts';
import { type Cause, REASONS } from './vtd-reasons.ts';

export type Fault = VtdFault | VtdStatus | VtdInvalidation | AmdEvent;

/** A fault in words. */
export interface Meaning {
  /** Undefined when the line does not tell. */
  cause?: Cause;
  /** What happened. */
  says: string;
  /** Further facts of the line in words: bits, conditions, contradictions. */
  details: string[];
  /** What is usually behind it, the most frequent first. */
  usually: string[];
  /** What to look at next. */
  next: string[];
}

const BEHIND: Readonly<Record<Cause, { usually: readonly string[]; next: readonly string[] }>> = {
  'no-domain': {
    usually: [
      'the device does DMA while no driver has it: firmware, an earlier kernel or a crashed guest left it running',
      'DMA comes with the requester ID of another function (a bridge or a second function of the chip)',
    ],
    next: [
      'which driver has the function, and whether a function with this address exists at all',
      'whether firmware asks for a region for it (RMRR), and whether the unit in front of it is the right one',
    ],
  },
  'not-mapped': {
    usually: [
      'a driver error: the buffer was unmapped too early, mapped for the other direction, or a physical address was used',
      'a guest or driver went away while the device was still working',
      'memory that VFIO did not map: a BAR of another device (peer to peer), memory added later, a region of firmware',
    ],
    next: [
      'whose address it is: RAM, a BAR, a reserved region',
      'what happened to the device just before: a reset, a driver unloading, a guest ending',
    ],
  },
  'bad-tables': {
    usually: ['an error of the kernel or of the VMM that made the tables', 'a width or mode that the unit does not have'],
    next: ['whether the kernel or QEMU is up to date', 'CAP_REG and ECAP_REG of the unit, in sluice inspect'],
  },
  'too-wide': {
    usually: ['the device uses addresses beyond what the domain has: aw-bits of a vIOMMU, or an address that is no IOVA at all'],
    next: ['MGAW of the unit and aw-bits of the vIOMMU', 'whether the guest uses the vIOMMU at all'],
  },
  ats: {
    usually: [
      'the device asks for translations (ATS) that the kernel did not allow it, as for untrusted devices or with pci=noats',
    ],
    next: ['whether ATS is enabled in the device although the unit does not allow it', 'pci=noats, when the device misbehaves'],
  },
  'interrupt-window': {
    usually: ['a mapping leads into the interrupt range: the guest has memory where the host has its MSI window'],
    next: ['reserved_regions of the group, and the memory layout of the guest'],
  },
  interrupt: {
    usually: [
      'the device sends an interrupt that the kernel did not set up: left from firmware or from before a reset, or its MSI table was restored without remapping',
    ],
    next: [
      'whether the function has a driver, and /proc/interrupts for it',
      'whether it came once at boot (harmless) or goes on',
    ],
  },
  pasid: {
    usually: ['the device uses a PASID that nobody set up for it'],
    next: ['whether PASID is enabled in the device and in the unit (ECAP_REG.PASID, sm_on)'],
  },
  hardware: {
    usually: ['the device or the unit is gone or hangs: a reset, a surprise removal, a sleep state it does not leave'],
    next: [
      'other lines of the device just before: link down, AER, "Unable to change power state"',
      'pci=noats, when it is an invalidation that times out',
    ],
  },
  rmp: {
    usually: ['the device wanted memory that belongs to a confidential guest (SEV-SNP)'],
    next: ['whether the page is shared with the host; only shared pages can be reached by DMA'],
  },
};

/** The fault in words: what happened, what is usually behind it, what to look at next. */
export function explainFault(fault: Fault): Meaning {
  if (fault.unit === 'amd-vi') return explainEvent(fault);
  switch (fault.kind) {
    case 'status':
      return {
        ...(fault.value & 0x70 ? { cause: 'hardware' as const } : {}),
        says: 'the unit reported; which request it refused is on the lines that follow',
        details: statusBits(fault.value),
        usually: fault.value & 0x70 ? [...BEHIND.hardware.usually] : [],
        next: fault.value & 0x70 ? [...BEHIND.hardware.next] : [],
      };
    case 'invalidation':
      return withCause('hardware', `an invalidation failed: ${INVALIDATION[fault.error]}`, []);
    case 'dma':
    case 'interrupt':
      return explainRequest(fault);
    default:
      return fault satisfies never;
  }
}

const INVALIDATION: Readonly<Record<VtdInvalidation['error'], string>> = {
  queue: 'the unit does not take a descriptor of the queue',
  'time-out': 'a device did not answer in time',
  completion: 'a device answered wrongly',
};

function withCause(cause: Cause | undefined, says: string, details: string[]): Meaning {
  const behind = cause === undefined ? undefined : BEHIND[cause];
  return {
    ...(cause === undefined ? {} : { cause }),
    says,
    details,
    usually: [...(behind?.usually ?? [])],
    next: [...(behind?.next ?? [])],
  };
}

function explainRequest(fault: VtdFault): Meaning {
  const what =
    fault.kind === 'interrupt'
      ? `an interrupt${fault.index === undefined ? '' : ` with index 0x${fault.index.toString(16)}`}`
      : `a ${fault.access === 'execute' ? 'request to execute' : fault.access}${fault.address === undefined ? '' : ` at 0x${fault.address.toString(16)}`}`;
  const known = fault.reason === undefined ? undefined : REASONS[fault.reason];
  const details: string[] = [];
  if (known !== undefined && known.conditions !== '-') details.push(`condition ${known.conditions}, VT-d 5.10 Table 30`);
  if (known !== undefined && known.conditions === '-') details.push('VT-d 5.10 Table 15');
  if (fault.pasid !== undefined) details.push(`PASID 0x${fault.pasid.toString(16)}`);
  const contradiction = contradictionIn(fault);
  if (contradiction !== undefined) details.push(contradiction);
  if (fault.reason === undefined) return withCause(undefined, `${what} was refused; the reason is on another line`, details);
  const number = `0x${fault.reason.toString(16).padStart(2, '0')}`;
  if (known === undefined)
    return withCause(undefined, `${what} was refused with reason ${number}, which VT-d 5.10 does not have`, details);
  return withCause(known.cause, `${what} was refused: ${known.says} (reason ${number})`, details);
}

/** Source: AMD I/O Virtualization Technology (48882) §2.5; RMP events: SEV-SNP, Linux drivers/iommu/amd/iommu.c. */
const EVENTS: Readonly<Record<string, readonly [cause: Cause, says: string]>> = {
  ILLEGAL_DEV_TABLE_ENTRY: ['bad-tables', 'the device table entry of the requester holds what the unit does not take'],
  IO_PAGE_FAULT: ['not-mapped', 'a request was refused'],
  DEV_TAB_HARDWARE_ERROR: ['hardware', 'the device table could not be read'],
  PAGE_TAB_HARDWARE_ERROR: ['hardware', 'a page table could not be read'],
  ILLEGAL_COMMAND_ERROR: ['bad-tables', 'the unit does not take a command that the kernel gave it'],
  COMMAND_HARDWARE_ERROR: ['hardware', 'the command buffer could not be read'],
  IOTLB_INV_TIMEOUT: ['hardware', 'the device did not answer an invalidation of its translations (ATS) in time'],
  INVALID_PPR_REQUEST: ['ats', 'the device made a page request that it is not allowed'],
  RMP_HW_ERROR: ['rmp', 'the reverse map table could not be read'],
  RMP_HARDWARE_ERROR: ['rmp', 'the reverse map table could not be read'],
  RMP_PAGE_FAULT: ['rmp', 'the reverse map table does not allow the request'],
};

function explainEvent(event: AmdEvent): Meaning {
  const known = Object.hasOwn(EVENTS, event.type) ? EVENTS[event.type] : undefined;
  const flags = flagsInWords(event) ?? [];
  const details = [...flags];
  if (event.pasid !== undefined && (event.pasid !== 0 || (event.flags ?? 0) & 1))
    details.push(`PASID 0x${event.pasid.toString(16)}`);
  if (event.reporter !== undefined) details.push(`reported by ${event.reporter}`);
  if (event.domain === 0) details.push('domain 0: the device has no domain of its own');
  if (event.type === 'INVALID_DEVICE_REQUEST')
    return withCause(invalidCause(event), 'the device made a request that it is not allowed', details);
  const at = event.address === undefined ? '' : ` at 0x${event.address.toString(16)}`;
  if (event.type === 'IO_PAGE_FAULT') {
    const interrupt = ((event.flags ?? 0) & 0x008) !== 0;
    const cause: Cause = interrupt ? 'interrupt' : ((event.flags ?? 0) & 0x080) !== 0 ? 'bad-tables' : 'not-mapped';
    return withCause(cause, `${pageFault(event)}${at} was refused`, details);
  }
  return withCause(
    known?.[0],
    known === undefined ? `an event of a kind that is not known here: ${event.type}` : `${known[1]}${at}`,
    details,
  );
}

function pageFault({ flags = 0 }: AmdEvent): string {
  if (flags & 0x008) return 'an interrupt';
  if (flags & 0x100) return 'a translation request (ATS)';
  const how = flags & 0x040 ? ' to a page without permission' : flags & 0x010 ? '' : ' to what is not mapped';
  return `a ${flags & 0x020 ? 'write' : 'read'}${how}`;
}

/** The kinds of invalid requests, as bits 11:9 number them. */
function invalidCause({ flags = 0 }: AmdEvent): Cause {
  const kind = (flags >> 9) & 7;
  if (kind === 1) return 'ats';
  return kind === 0 || kind === 5 || kind === 6 ? 'interrupt' : 'not-mapped';
}
