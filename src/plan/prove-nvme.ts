import { viewOf } from '../bits/index.ts';
import { type Clock, HostError } from '../host/host.ts';
import {
  ACQ,
  AQA,
  ASQ,
  CAP,
  CC,
  CNS,
  CompletionQueueEntry,
  CSTS,
  decodeStatus,
  doorbell,
  IDENTIFY_BYTES,
  identify,
  readIdentifyController,
  SubmissionQueueEntry,
  submissionEntry,
  VS,
} from '../nvme/index.ts';
import {
  type DmaMemory,
  insideRanges,
  type VfioDevice,
  type VfioInfo,
  type VfioInterrupt,
  type VfioRegion,
} from '../vfio/index.ts';

/** How one Identify ended. */
export interface NvmeAnswer {
  /** A completion arrived in time. */
  completed: boolean;
  /** What the completion says; undefined without one. */
  status: string | undefined;
  /** The data page no longer holds the pattern that was there before: the device wrote. */
  written: boolean;
  /** MSI-X events counted while waiting. */
  interrupts: number;
  milliseconds: number;
}

/** What one NVMe function did when it was driven from here through VFIO. */
export interface NvmeProof {
  /** What Identify brought into memory by DMA; undefined when it did not. */
  controller: { model: string; serial: string; firmware: string; cntlid: number; version: string } | undefined;
  /** Identify into a mapped page. */
  mapped: NvmeAnswer;
  /** The same command once the page was unmapped; undefined when the first did not succeed. */
  unmapped: NvmeAnswer | undefined;
  /** IOVA of the data page: where the refused DMA went. */
  iova: number;
  /** MSI-X events of both commands. */
  interrupts: number;
  milliseconds: number;
}

const PAGE = 4096;
const PATTERN = 0xa5;
const QUEUE_ENTRIES = 16;
/** How long a completion may take: Identify needs no medium. */
const COMMAND_LIMIT = 5000;
/** CAP.TO may be 0; no controller is given less than this. */
const LEAST_READY_LIMIT = 1000;
const POLL = 2;
/** An IOVA that stands out in a log. */
const FAVOURED_IOVA = 0x1000_0000;

/** PCI Command register: its offset, and Memory Space and Bus Master. PCI 3.0 §6.2.2. */
const COMMAND = 4;
const MEMORY_AND_MASTER = 0x6;
const BUS_MASTER = 0x4;

/**
 * Drives an NVMe function from user space: Identify Controller by DMA with its MSI-X interrupt, then the same into a page that was
 * unmapped meanwhile. A refused DMA is not judged by the completion (a controller may well report success): the memory must be
 * untouched, and the caller looks for the kernel's fault line with {@link file://./dmar-fault.ts matchDmarFault}.
 *
 * The controller is disabled and the device closed in every case; every wait has a limit. NVMe 1.4 §7.6.1.
 *
 * @throws HostError when the controller does not get ready or a VFIO call is refused
 */
export async function proveNvme(device: VfioDevice, clock: Clock): Promise<NvmeProof> {
  const started = clock.now();
  try {
    device.writeConfig(COMMAND, 2, device.readConfig(COMMAND, 2) | MEMORY_AND_MASTER);
    const session = new Session(device, clock);
    try {
      const interrupt = await session.start();
      const mapped = await session.identify(interrupt);
      const controller = mapped.written ? session.controller() : undefined;
      let unmapped: NvmeAnswer | undefined;
      if (mapped.completed && mapped.written) {
        device.unmapDma(session.iova, PAGE);
        unmapped = await session.identify(interrupt);
      }
      return {
        controller,
        mapped,
        unmapped,
        iova: session.iova,
        interrupts: mapped.interrupts + (unmapped?.interrupts ?? 0),
        milliseconds: clock.now() - started,
      };
    } finally {
      await session.stop();
    }
  } finally {
    device.close();
  }
}

/** One enabled controller with its admin queues. */
class Session {
  /** Of the data page; the queues lie in the two pages below. */
  readonly iova: number;
  readonly #device: VfioDevice;
  readonly #clock: Clock;
  readonly #bar: VfioRegion;
  readonly #submission: DmaMemory;
  readonly #completion: DmaMemory;
  readonly #data: DmaMemory;
  readonly #readyLimit: number;
  readonly #stride: number;
  /** Commands sent: also the place of the next in both queues, which never wrap here. */
  #sent = 0;

  constructor(device: VfioDevice, clock: Clock) {
    this.#device = device;
    this.#clock = clock;
    this.#bar = device.mapRegion(0);
    const cap = viewOf(new Uint8Array(8));
    cap.setUint32(0, this.#bar.read32(CAP.offset!), true);
    cap.setUint32(4, this.#bar.read32(CAP.offset! + 4), true);
    const { TO, DSTRD, MPSMIN } = CAP.decode(cap);
    if (cap.getUint32(0) === 0xffffffff) throw new HostError('NVMe', 'its registers read all ones: the function does not answer');
    if (MPSMIN !== 0) throw new HostError('NVMe', `its smallest page has ${2 ** (12 + MPSMIN)} bytes, this host's has ${PAGE}`);
    this.#readyLimit = Math.max(TO * 500, LEAST_READY_LIMIT);
    this.#stride = DSTRD;
    // A page and a map each, since only whole maps can be unmapped.
    this.#submission = device.allocate(PAGE);
    this.#completion = device.allocate(PAGE);
    this.#data = device.allocate(PAGE);
    this.iova = freeIova(device.info, 3 * PAGE) + 2 * PAGE;
  }

  /** Disables the controller, gives it its queues and one interrupt, enables it. */
  async start(): Promise<VfioInterrupt> {
    await this.#enable(0);
    const base = this.iova - 2 * PAGE;
    this.#device.mapDma(this.#submission, base);
    this.#device.mapDma(this.#completion, base + PAGE);
    this.#device.mapDma(this.#data, this.iova);
    const interrupt = this.#device.enableMsix(0);
    this.#write(AQA.offset!, AQA.encode({ ASQS: QUEUE_ENTRIES - 1, ACQS: QUEUE_ENTRIES - 1 }));
    this.#write(ASQ.offset!, ASQ.encode({ ASQB: base / PAGE }));
    this.#write(ACQ.offset!, ACQ.encode({ ACQB: base / PAGE + 1 }));
    await this.#enable(1);
    return interrupt;
  }

  /** Sends Identify Controller into the data page, which is filled with a pattern first, and waits. */
  async identify(interrupt: VfioInterrupt): Promise<NvmeAnswer> {
    this.#data.write(0, new Uint8Array(PAGE).fill(PATTERN));
    const slot = this.#sent++;
    const cid = slot + 1;
    const command = submissionEntry(identify(CNS.controller), cid, BigInt(this.iova));
    this.#submission.write(slot * SubmissionQueueEntry.bytes, command);
    const sent = this.#clock.now();
    this.#bar.write32(doorbell('submission', 0, this.#stride), this.#sent);

    let interrupts = 0;
    let completion = this.#completionAt(slot);
    for (let left = COMMAND_LIMIT; left > 0; left = sent + COMMAND_LIMIT - this.#clock.now()) {
      interrupts += await interrupt.wait(left);
      completion = this.#completionAt(slot);
      if (completion.P === 1) break;
    }
    const milliseconds = this.#clock.now() - sent;
    const completed = completion.P === 1 && completion.CID === cid;
    if (completion.P === 1) this.#bar.write32(doorbell('completion', 0, this.#stride), this.#sent);
    return {
      completed,
      status: completed ? decodeStatus(completion.SF).says : undefined,
      written: this.#data.read(0, PAGE).some((byte) => byte !== PATTERN),
      interrupts,
      milliseconds,
    };
  }

  /** What Identify left in the data page. */
  controller(): NvmeProof['controller'] {
    const found = readIdentifyController(this.#data.read(0, IDENTIFY_BYTES));
    if (found === undefined) return undefined;
    const version = VS.decode(viewOf(new Uint8Array(new Uint32Array([this.#bar.read32(VS.offset!)]).buffer)));
    return {
      model: found.MN,
      serial: found.SN,
      firmware: found.FR,
      cntlid: found.CNTLID,
      version: `${version.MJR}.${version.MNR}.${version.TER}`,
    };
  }

  /** Ends all DMA. A controller that does not obey any more loses its right to the bus all the same. */
  async stop(): Promise<void> {
    try {
      await this.#enable(0);
    } catch (error) {
      if (!(error instanceof HostError)) throw error;
    } finally {
      this.#device.writeConfig(COMMAND, 2, this.#device.readConfig(COMMAND, 2) & ~BUS_MASTER);
    }
  }

  /** The queue is used once, so an entry is new as soon as its phase is 1. */
  #completionAt(slot: number): ReturnType<typeof CompletionQueueEntry.decode> {
    const { bytes } = CompletionQueueEntry;
    return CompletionQueueEntry.decode(viewOf(this.#completion.read(slot * bytes, bytes)));
  }

  #write(offset: number, register: Uint8Array): void {
    const view = viewOf(register);
    for (let at = 0; at < register.length; at += 4) this.#bar.write32(offset + at, view.getUint32(at, true));
  }

  /** Sets CC.EN and waits until CSTS.RDY follows, no longer than the controller said it takes. */
  async #enable(EN: 0 | 1): Promise<void> {
    // Entry sizes of 64 and 16 bytes; pages of 4096; the NVM command set, which every controller of this kind takes.
    this.#write(CC.offset!, EN === 1 ? CC.encode({ EN, IOSQES: 6, IOCQES: 4 }) : CC.encode({ EN }));
    const begun = this.#clock.now();
    for (;;) {
      const word = this.#bar.read32(CSTS.offset!);
      const { RDY, CFS } = CSTS.decode(viewOf(new Uint8Array(new Uint32Array([word]).buffer)));
      if (word === 0xffffffff) throw new HostError('NVMe', 'its registers read all ones: the function does not answer');
      if (RDY === EN) return;
      if (CFS === 1 && EN === 1)
        throw new HostError('NVMe', 'the controller reports a fatal status (CSTS.CFS) while it is enabled');
      if (this.#clock.now() - begun > this.#readyLimit)
        throw new HostError('NVMe', `CSTS.RDY was not ${EN} after the ${this.#readyLimit} ms that CAP.TO allows`, 'ETIMEDOUT');
      await this.#clock.sleep(POLL);
    }
  }
}

/** An IOVA for `bytes` that the IOMMU takes; the interrupt window of the processor is in no range. */
function freeIova(info: VfioInfo, bytes: number): number {
  if (insideRanges(info.iovaRanges, FAVOURED_IOVA, bytes) !== false) return FAVOURED_IOVA;
  for (const { start, end } of info.iovaRanges) {
    // Not page 0: an address that was forgotten would land there.
    const from = Math.ceil(Math.max(Number(start), PAGE) / PAGE) * PAGE;
    if (insideRanges(info.iovaRanges, from, bytes) && from + bytes <= Number(end) + 1) return from;
  }
  throw new HostError('NVMe', `the IOMMU takes no IOVA for ${bytes} bytes`, 'ENOSPC');
}
