import { type Fault, isSmmuFault, parseFault, parseVtdReason } from '../iommu/index.ts';
import type { LogLine } from './log-lines.ts';

/** Faults of a log that differ in nothing but their addresses. */
export interface LoggedFault {
  /** The first of them. */
  fault: Fault;
  /** As printed, without the time. */
  text: string;
  /** Line of the first. */
  line: number;
  count: number;
  /** Lowest and highest address, of faults that have one. */
  lowest?: bigint;
  highest?: bigint;
}

export interface LoggedFaults {
  /** In the order of their first lines. */
  faults: LoggedFault[];
  /** Faults that the kernel left out because they came too fast, as far as it says. */
  suppressed: number;
  /** Faults of Arm SMMUs, which are not taken apart. */
  smmu: number;
  /** Faults of further kinds: there were too many kinds to keep. */
  more: number;
}

/** Kinds that are kept. A host has no more devices than that which fail in different ways. */
const KINDS = 4096;
const WORTH_A_LOOK = /DMAR|VT-?[dD]|Event logged|Request device|fault reason|callbacks suppressed|smmu/;
const SUPPRESSED = /(?:dmar_fault|amd_iommu_\w+|iommu_print_event|iommu_poll_events): (\d{1,9}) callbacks suppressed/;
const REASON_ALONE = /^(?:\(XEN\) )?(?:\[VT-D\])?(?:dmar: )?DMAR: ?(?:\[fault reason|reason )/i;

/** Collects the faults of a log, line by line. */
export class FaultCollector {
  readonly #kinds = new Map<string, LoggedFault>();
  /** A request of an old kernel, whose reason is on the next line. */
  #waiting: { fault: Fault; line: LogLine } | undefined;
  #suppressed = 0;
  #smmu = 0;
  #more = 0;

  add(line: LogLine): void {
    if (!WORTH_A_LOOK.test(line.text)) {
      this.#settle();
      return;
    }
    if (this.#waiting !== undefined && REASON_ALONE.test(line.text)) {
      Object.assign(this.#waiting.fault, parseVtdReason(line.text));
      this.#waiting.line = { ...this.#waiting.line, text: `${this.#waiting.line.text} ${line.text}` };
      this.#settle();
      return;
    }
    this.#settle();
    const fault = parseFault(line.text);
    if (fault !== undefined) {
      this.#waiting = { fault, line };
      if (!('requester' in fault) || fault.unit !== 'vtd' || fault.reason !== undefined) this.#settle();
      return;
    }
    const suppressed = SUPPRESSED.exec(line.text);
    if (suppressed !== null) this.#suppressed += Number(suppressed[1]);
    else if (isSmmuFault(line.text)) this.#smmu++;
  }

  /** What was found, at the end of the log. */
  end(): LoggedFaults {
    this.#settle();
    return { faults: [...this.#kinds.values()], suppressed: this.#suppressed, smmu: this.#smmu, more: this.#more };
  }

  #settle(): void {
    if (this.#waiting === undefined) return;
    const { fault, line } = this.#waiting;
    this.#waiting = undefined;
    const key = kindOf(fault);
    const address = 'address' in fault ? fault.address : undefined;
    const known = this.#kinds.get(key);
    if (known !== undefined) {
      known.count++;
      if (address !== undefined && known.lowest !== undefined && address < known.lowest) known.lowest = address;
      if (address !== undefined && known.highest !== undefined && address > known.highest) known.highest = address;
      return;
    }
    if (this.#kinds.size === KINDS) {
      this.#more++;
      return;
    }
    const first: LoggedFault = { fault, text: line.text, line: line.number, count: 1 };
    if (address !== undefined) first.lowest = first.highest = address;
    this.#kinds.set(key, first);
  }
}

/** All that makes faults the same but their addresses. */
function kindOf(fault: Fault): string {
  if (fault.unit === 'amd-vi')
    return ['amd', fault.type, fault.requester, fault.driver, fault.domain, fault.pasid, fault.flags].join(' ');
  if (fault.kind === 'invalidation') return ['invalidation', fault.error, fault.reason, fault.sid].join(' ');
  // The recording register counts up and says nothing.
  if (fault.kind === 'status') return `status ${fault.value & 0xff}`;
  return [fault.kind, fault.access, fault.requester, fault.reason, fault.reasonText, fault.pasid, fault.index].join(' ');
}
