import assert from 'node:assert/strict';
import { test } from 'node:test';
import { viewOf } from '../bits/index.ts';
import { HostError } from '../host/host.ts';
import { CAP, CC, CompletionQueueEntry, CSTS, IdentifyController, SubmissionQueueEntry } from '../nvme/index.ts';
import type { DmaMemory, VfioDevice, VfioInfo, VfioInterrupt, VfioRegion } from '../vfio/index.ts';
import { proveNvme } from './prove-nvme.ts';

class Pages implements DmaMemory {
  readonly bytes: number;
  readonly content: Uint8Array;
  constructor(bytes: number) {
    this.bytes = bytes;
    this.content = new Uint8Array(bytes);
  }
  read(offset: number, length: number): Uint8Array {
    return this.content.slice(offset, offset + length);
  }
  write(offset: number, data: Uint8Array): void {
    this.content.set(data, offset);
  }
}

interface Ways {
  cap?: Partial<Parameters<typeof CAP.encode>[0]>;
  ranges?: VfioInfo['iovaRanges'];
  /** Never gets ready, or reports a fatal status instead. */
  stuck?: boolean;
  fatal?: boolean;
  /** Answers, but its interrupt gets lost. */
  silent?: boolean;
  /** Never answers. */
  dumb?: boolean;
  /** Writes past the IOMMU. */
  leaky?: boolean;
}

/** A controller as NVMe 1.4 describes it, behind an IOMMU that lets only mapped pages through. Time passes when somebody waits. */
class Controller implements VfioDevice {
  readonly info: VfioInfo;
  readonly maps = new Map<number, Pages>();
  readonly everMapped = new Map<number, Pages>();
  readonly blocked: number[] = [];
  readonly ways: Ways;
  readonly cap: Uint8Array;
  now = 0;
  closed = 0;
  command = 0;
  config = 0;
  queues = { attributes: 0, submission: 0, completion: 0 };
  events = 0;
  head = 0;
  maxSleep = 0;

  constructor(ways: Ways = {}) {
    this.ways = ways;
    this.cap = CAP.encode({ MQES: 2047, CQR: 1, TO: 4, DSTRD: 0, CSS: 1, ...ways.cap });
    this.info = { flags: 3, regions: 9, irqs: 5, iovaRanges: ways.ranges ?? [], pageSizes: 4096n };
  }
  readonly clock = {
    now: () => this.now,
    sleep: async (milliseconds: number) => {
      this.now += milliseconds;
    },
  };

  readConfig(): number {
    return this.command;
  }
  writeConfig(_offset: number, _size: number, value: number): void {
    this.command = value;
  }
  mapRegion(): VfioRegion {
    return { bytes: 0x4000, read32: (offset) => this.register(offset), write32: (offset, value) => this.store(offset, value) };
  }
  allocate(bytes: number): Pages {
    return new Pages(bytes);
  }
  mapDma(memory: DmaMemory, iova: number): void {
    assert.ok(memory instanceof Pages && iova % 4096 === 0);
    this.maps.set(iova, memory);
    this.everMapped.set(iova, memory);
  }
  unmapDma(iova: number): number {
    return this.maps.delete(iova) ? 4096 : 0;
  }
  enableMsix(): VfioInterrupt {
    return {
      wait: async (milliseconds) => {
        const { events } = this;
        this.events = 0;
        this.now += events > 0 ? 1 : milliseconds;
        return events;
      },
    };
  }
  close(): void {
    this.closed++;
  }

  register(offset: number): number {
    if (offset < 8) return viewOf(this.cap).getUint32(offset, true);
    if (offset === 8) return 0x10400;
    if (offset !== CSTS.offset) return 0;
    const enabled = CC.get.EN(viewOf(new Uint8Array(new Uint32Array([this.config]).buffer)), 0);
    if (this.ways.fatal && enabled) return 2;
    return enabled && !this.ways.stuck ? 1 : 0;
  }
  store(offset: number, value: number): void {
    if (offset === CC.offset) this.config = value;
    if (offset === 0x24) this.queues.attributes = value;
    if (offset === 0x28) this.queues.submission = value;
    if (offset === 0x30) this.queues.completion = value;
    if (offset === 0x1000) this.run(value);
  }
  /** Takes commands up to the new tail. */
  run(tail: number): void {
    assert.equal(this.command & 6, 6, 'memory space and bus master are on');
    for (; this.head < tail; this.head++) {
      const entry = this.dma(this.queues.submission, this.head * 64, 64);
      assert.ok(entry, 'the submission queue is mapped');
      const { OPC, CID, CDW10, PRP1 } = SubmissionQueueEntry.decode(viewOf(entry));
      assert.deepEqual([OPC, CDW10], [6, 1]);
      if (this.ways.dumb) continue;
      const identify = IdentifyController.encode({ MN: 'Model', SN: 'Serial', FR: '1.0', CNTLID: 5 });
      this.dmaWrite(Number(PRP1), 0, identify);
      // Like QEMU's: success whether or not the data arrived.
      this.dmaWrite(this.queues.completion, this.head * 16, CompletionQueueEntry.encode({ CID, P: 1, SQHD: this.head + 1 }));
      if (!this.ways.silent) this.events++;
    }
  }
  dma(iova: number, offset: number, length: number): Uint8Array | undefined {
    return this.maps.get(iova)?.read(offset, length);
  }
  dmaWrite(iova: number, offset: number, data: Uint8Array): void {
    const memory = (this.ways.leaky ? this.everMapped : this.maps).get(iova);
    if (memory) memory.write(offset, data);
    else this.blocked.push(iova);
  }
}

test('a controller behind a working IOMMU is identified by DMA and interrupt, and kept out of an unmapped page', async () => {
  const controller = new Controller({ ranges: [{ start: 0n, end: 0xfedfffffn }] });
  const proof = await proveNvme(controller, controller.clock);
  assert.deepEqual(proof.controller, { model: 'Model', serial: 'Serial', firmware: '1.0', cntlid: 5, version: '1.4.0' });
  assert.deepEqual(proof.mapped, {
    completed: true,
    status: 'Successful Completion',
    written: true,
    interrupts: 1,
    milliseconds: 1,
  });
  assert.deepEqual(proof.unmapped, {
    completed: true,
    status: 'Successful Completion',
    written: false,
    interrupts: 1,
    milliseconds: 1,
  });
  assert.equal(proof.interrupts, 2);
  assert.deepEqual(controller.blocked, [proof.iova]);
  assert.equal(controller.queues.attributes, 0x000f000f);
});

test('afterwards the controller is disabled, has lost the bus, and the device is closed once', async () => {
  const controller = new Controller();
  await proveNvme(controller, controller.clock);
  assert.deepEqual([controller.config & 1, controller.command & 4, controller.closed], [0, 0, 1]);
});

test('an IOMMU that lets the second write through is caught by the memory, whatever the completion says', async () => {
  const controller = new Controller({ leaky: true });
  const proof = await proveNvme(controller, controller.clock);
  assert.equal(proof.unmapped?.written, true);
});

test('a lost interrupt is seen as none, though the completion is there', async () => {
  const controller = new Controller({ silent: true });
  const proof = await proveNvme(controller, controller.clock);
  assert.equal(proof.mapped.completed, true);
  assert.equal(proof.interrupts, 0);
  assert.ok(proof.mapped.milliseconds >= 1000 && proof.mapped.milliseconds < 20_000);
});

test('a controller that does not answer ends the proof after a while, and is not asked twice', async () => {
  const controller = new Controller({ dumb: true });
  const proof = await proveNvme(controller, controller.clock);
  assert.deepEqual([proof.mapped.completed, proof.mapped.written, proof.mapped.status], [false, false, undefined]);
  assert.deepEqual([proof.controller, proof.unmapped], [undefined, undefined]);
  assert.equal(controller.closed, 1);
});

test('a controller that does not get ready is given up after the time that CAP.TO names', async () => {
  const controller = new Controller({ stuck: true, cap: { TO: 6 } });
  await assert.rejects(
    proveNvme(controller, controller.clock),
    (error: unknown) => error instanceof HostError && error.errno === 'ETIMEDOUT',
  );
  assert.ok(controller.now >= 3000 && controller.now < 4000, `${controller.now} ms`);
  assert.equal(controller.closed, 1);
});

test('a fatal status, a page size that is too large and a function that fell off the bus are errors, and the device is closed', async () => {
  const gone = new Controller();
  gone.cap.fill(0xff);
  for (const controller of [new Controller({ fatal: true }), new Controller({ cap: { MPSMIN: 2 } }), gone]) {
    await assert.rejects(proveNvme(controller, controller.clock), HostError);
    assert.equal(controller.closed, 1);
  }
});

test('the pages lie where the IOMMU takes them', async () => {
  const controller = new Controller({
    ranges: [
      { start: 0n, end: 0x1fffn },
      { start: 0x20000800n, end: 0x2fffffffn },
    ],
  });
  const proof = await proveNvme(controller, controller.clock);
  assert.equal(proof.iova, 0x20003000);
  const none = new Controller({ ranges: [{ start: 0n, end: 0xfffn }] });
  await assert.rejects(proveNvme(none, none.clock), HostError);
});
