/** An event of an AMD-Vi unit, as Linux or Xen printed it. */
export interface AmdEvent {
  unit: 'amd-vi';
  kind: 'event';
  /** `IO_PAGE_FAULT`, `IOTLB_INV_TIMEOUT` ... as printed. */
  type: string;
  /** The requester: `15:00.0`, `0000:15:00.0`; undefined where the kernel printed none. */
  requester?: string;
  /** What stands before the device: its driver, or `pci` when it has none. Newer kernels only. */
  driver?: string;
  /** The unit that reported, such as `ivhd0`, where it is printed. */
  reporter?: string;
  /** `domain=0x0013 address=0xfe836480 ...` as printed. */
  fields: Readonly<Record<string, string>>;
  address?: bigint;
  domain?: number;
  /** Undefined when the event has none. 0 is also what is printed for a request without a PASID. */
  pasid?: number;
  flags?: number;
}

// iommu_print_event of drivers/iommu/amd/iommu.c, over the years:
//   until 4.x  AMD-Vi: Event logged [IO_PAGE_FAULT device=15:00.0 domain=0x0000 address=0x00000000fdeaf040 flags=0x0020]
//   since 4.x  xhci_hcd 0000:01:00.0: AMD-Vi: Event logged [IO_PAGE_FAULT domain=0x0000 address=0xfe80b000 flags=0x0020]
//              iommu ivhd0: AMD-Vi: Event logged [INVALID_DEVICE_REQUEST device=0000:00:00.0 pasid=0x00000 address=... flags=0x0a00]
// The unknown event has no closing bracket.
const EVENT = /Event logged \[\s*([A-Z][A-Z0-9_]{2,39})\b ?([^\n]*)/;
const BEFORE = /(?:^|[\s\]])([\w.-]{1,40}) ((?:[0-9a-f]{4,8}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]|ivhd\d{1,4}):?(?: AMD-Vi:)*\s*$/i;
const FIELD = /([\w[\]]{1,20})\s?=\s?((?:0x)?[0-9a-f:.]{1,24})/gi;

/** The event that a line reports, or undefined when it reports none. */
export function parseAmdEvent(text: string): AmdEvent | undefined {
  const match = EVENT.exec(text);
  if (match === null) return undefined;
  const fields: Record<string, string> = {};
  const inside = match[2]!;
  // "event[0]=" of an unknown event holds brackets of its own.
  const end = match[1] === 'UNKNOWN' ? -1 : inside.indexOf(']');
  for (const [, name, value] of (end < 0 ? inside : inside.slice(0, end)).matchAll(FIELD)) fields[name!] ??= value!;
  const before = BEFORE.exec(text.slice(Math.max(0, match.index - 120), match.index));
  const reporter = before?.[2]?.startsWith('ivhd') ? before[2] : undefined;
  const named = reporter === undefined ? before?.[2] : undefined;
  const device = fields.device ?? fields.devid;
  const event: AmdEvent = { unit: 'amd-vi', kind: 'event', type: match[1]!, fields };
  const requester = device !== undefined && /^[0-9a-f:]+\.[0-7]$/i.test(device) ? device : named;
  if (requester !== undefined) event.requester = requester.toLowerCase();
  if (named !== undefined) event.driver = before![1]!;
  if (reporter !== undefined) event.reporter = reporter;
  const address = fields.address ?? fields.gpa ?? fields.spa;
  if (address !== undefined && /^(0x)?[0-9a-f]{1,16}$/i.test(address)) event.address = BigInt(`0x${address.replace(/^0x/i, '')}`);
  for (const name of ['domain', 'pasid', 'flags'] as const) {
    const value = fields[name];
    if (value !== undefined && /^(0x)?[0-9a-f]{1,8}$/i.test(value)) event[name] = Number.parseInt(value, 16);
  }
  return event;
}

/** Flags of the event, as bits 59:48 of the entry. AMD I/O Virtualization Technology (48882) §2.5. */
const BITS: readonly (readonly [name: string, set: string, clear?: string])[] = [
  ['GN', 'the address is of a guest (it has a PASID)'],
  ['NX', 'it wanted to execute'],
  ['US', 'with user privilege'],
  ['I', 'an interrupt request', 'a memory request'],
  ['PR', 'the page or entry is present', 'nothing is mapped there'],
  ['RW', 'a write', 'a read'],
  ['PE', 'permission was lacking'],
  ['RZ', 'reserved bits are set in an entry'],
  ['TR', 'a translation request (ATS)'],
];

/** Of a request that the device may not make: bits 11:9. 48882 §2.5. */
const INVALID_REQUESTS = [
  'a read or non-posted write to the interrupt range',
  'a pre-translated request of a device that may not make them',
  'a port I/O request of a device that may not make them',
  'a posted write to an invalid address range',
  'an invalid read or non-posted write',
  'a write to the interrupt range of a device whose interrupts are not allowed (IntCtl is 0)',
  'a write to a reserved part of the interrupt range',
  'a request to the system-management range of a device that may not make it',
];

/** What an error of the hardware was: bits 10:9. 48882 §2.5. */
const HARDWARE = ['', 'master abort', 'target abort', 'data error'];

/** The flags in words, or undefined when the event has none. */
export function flagsInWords({ type, flags }: AmdEvent): string[] | undefined {
  if (flags === undefined) return undefined;
  if (type === 'INVALID_DEVICE_REQUEST') return [INVALID_REQUESTS[(flags >> 9) & 7]!, ...named(flags & 0x008)];
  const error = /HARDWARE/.test(type) ? HARDWARE[(flags >> 9) & 3]! : '';
  // Only a page fault says what is and is not there; other events leave those bits 0.
  const words = BITS.flatMap(([name, set, clear], bit) => {
    if (flags & (1 << bit)) return [`${name}: ${set}`];
    return clear !== undefined && type === 'IO_PAGE_FAULT' && !(name === 'RW' && flags & 0x108) ? [`${name}=0: ${clear}`] : [];
  });
  return error === '' ? words : [...words, error];
}

function named(flags: number): string[] {
  return BITS.flatMap(([name, set], bit) => (flags & (1 << bit) ? [`${name}: ${set}`] : []));
}
