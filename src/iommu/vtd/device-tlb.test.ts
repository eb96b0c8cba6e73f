import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import * as m from '../../../test/vtd-machine.ts';
import { NO_CACHES } from './caches.ts';
import { DeviceTlb, type DeviceTlbConfig, DeviceTlbs } from './device-tlb.ts';
import * as formats from './formats-queue.ts';
import { timeOutDeviceTlb } from './queue.ts';
import { EXEC, PRIV, READ, WRITE } from './translate.ts';
import { type UnitConfig, VtdUnit } from './unit.ts';

const QUEUE = 0x80000;
const STATUS = 0x90000;
const PAGE_REQUESTS = 0xa0000;
const [QIE, TE] = [0x04000000, 0x80000000];
const [ICE, ITE] = [0x20, 0x40];
const TYPE = formats.DESCRIPTOR_TYPES;

/** A machine with a device behind its unit, an invalidation queue and a queue of page requests. */
class Bench extends m.Machine {
  readonly device: DeviceTlb;
  private tail = 0;
  private sent = 0;

  constructor(pgtt: bigint | undefined, device: Partial<DeviceTlbConfig> = {}, config: Partial<UnitConfig> = {}) {
    const devices = new DeviceTlbs();
    super(pgtt, { devices, ...config });
    this.device = devices.attach(new DeviceTlb(this.unit, { sid: m.SID, ...device }));
    // The device may use ATS, and PRI in scalable mode.
    if (pgtt === undefined) this.flip(m.CONTEXT, 1n << 2n);
    else this.flip(m.CONTEXT, 1n << 4n);
    this.unit.write(0x90, 8, BigInt(QUEUE) | 0x800n);
    this.unit.write(0xd0, 8, BigInt(PAGE_REQUESTS));
    this.unit.write(0x18, 4, TE | QIE);
  }

  submit(...descriptors: Uint8Array[]): void {
    for (const bytes of descriptors) {
      const padded = new Uint8Array(32);
      padded.set(bytes);
      this.memory.writeBytes(QUEUE + this.tail, 0, padded);
      this.tail = (this.tail + 32) % 4096;
    }
    this.unit.write(0x88, 4, this.tail);
  }

  /** A wait descriptor behind them. @returns whether it completes by the end, as `done` tells */
  submitAndWait(...descriptors: Uint8Array[]): () => boolean {
    const DATA = ++this.sent;
    this.submit(...descriptors, formats.InvalidationWait.encode({ TYPE_0: TYPE.wait, SW: 1, DATA, ADDR: STATUS / 4 }));
    return () => this.memory.read32(STATUS, 0)! >= DATA;
  }

  get fsts(): number {
    return Number(this.unit.read(0x34, 4));
  }

  /** The last page request in the queue. */
  request() {
    const tail = Number(this.unit.read(0xc8, 8));
    return formats.PageRequest.decode(new DataView(this.memory.readBytes(PAGE_REQUESTS + tail - 32, 0, 32)!.buffer), 0);
  }
}

const deviceTlb = (address: number, S = 0, SID = m.SID) =>
  formats.DeviceTlbInvalidate.encode({ TYPE_0: TYPE.deviceTlb, SID, S, ADDR: address / 4096 });
const pasidDeviceTlb = (address: number, PASID: number, S = 0, GI = 0) =>
  formats.PasidDeviceTlbInvalidate.encode({ TYPE_0: TYPE.pasidDeviceTlb, SID: m.SID, PASID, S, GI, ADDR: address / 4096 });
/** Bits 62:12 set. */
const ALL = 2 ** 63 - 4096;
const everything = (SID = m.SID) => formats.DeviceTlbInvalidate.encode({ TYPE_0: TYPE.deviceTlb, SID, S: 1, ADDR: 2 ** 51 - 1 });

test('an access is translated once it is asked for, and needs no walk any more', () => {
  for (const pgtt of [undefined, m.FIRST_STAGE, m.SECOND_STAGE, m.NESTED, m.PASS_THROUGH])
    for (const pasid of pgtt === undefined ? [-1] : [-1, m.ONE]) {
      const { device, unit } = new Bench(pgtt);
      const access = () => device.access(m.IOVA | 0x123, 0, READ | WRITE, pasid);
      assert.equal(access(), 'translated');
      assert.equal(device.lo, (pgtt === m.FIRST_STAGE || pgtt === m.NESTED ? m.PAGE : m.IOVA) | 0x123);
      unit.caches.flush();
      const kinds: string[] = [];
      unit.trail = { push: ([kind]) => kinds.push(kind) };
      assert.equal(access(), 'translated');
      assert.ok(kinds.every((kind) => kind === 'root' || kind === 'ctx'));
      assert.ok(device.holds(m.IOVA, 0, WRITE, pasid));
      assert.ok(!device.holds(m.IOVA, 0, READ, pasid < 0 ? m.ONE : -1));
    }
});

test('a translation is as large as its page', () => {
  const { device } = new Bench(m.SECOND_STAGE);
  device.access(m.IOVA, 0, READ, -1);
  assert.ok(device.holds(0x3fffffff, 0, READ, -1));
  assert.ok(!device.holds(0x40000000, 0, READ, -1));
  assert.equal(device.access(0x3ffffff8, 0, WRITE, -1), 'translated');
  assert.equal(device.lo, 0x3ffffff8);
});

test('a device has room for so many translations, and one without room asks each time', () => {
  for (const size of [0, 1, 3]) {
    const bench = new Bench(m.FIRST_STAGE, { size });
    for (let page = 0; page < 4; page++) bench.write(m.FS1 + page * 8, BigInt(m.PAGE + page * 0x1000) | 0x67n);
    for (let page = 0; page < 4; page++) {
      assert.equal(bench.device.access(m.IOVA + page * 0x1000, 0, WRITE, -1), 'translated');
      assert.equal(bench.device.lo, m.PAGE + page * 0x1000);
    }
    const held = [0, 1, 2, 3].filter((page) => bench.device.holds(m.IOVA + page * 0x1000, 0, WRITE, -1));
    assert.deepEqual(held, { 0: [], 1: [3], 3: [1, 2, 3] }[size]);
  }
});

test('no translation lets a request with PASID execute, whatever else it grants', () => {
  const bench = new Bench(m.FIRST_STAGE);
  const execute = () => bench.device.access(m.IOVA, 0, READ | EXEC, m.ONE);
  const before = execute();
  assert.notEqual(before, 'translated');
  assert.equal(bench.device.access(m.IOVA, 0, READ, m.ONE), 'translated');
  assert.equal(execute(), before);
});

test('users and supervisors have translations of their own', () => {
  const bench = new Bench(m.FIRST_STAGE);
  bench.flip(m.FS1, 4n); // U/S
  assert.equal(bench.device.access(m.IOVA, 0, READ | PRIV, m.ONE), 'translated');
  assert.equal(bench.device.access(m.IOVA, 0, READ, m.ONE), 'fault');
});

test('a device that asks for reading only asks again to write', () => {
  const bench = new Bench(m.FIRST_STAGE, { noWrite: true });
  bench.flip(m.FS1, 0x40n);
  assert.equal(bench.device.access(m.IOVA, 0, READ, -1), 'translated');
  assert.equal(bench.read(m.FS1) & 0x40n, 0n);
  assert.equal(bench.device.access(m.IOVA, 0, WRITE, -1), 'translated');
  assert.equal(bench.read(m.FS1) & 0x40n, 0x40n);
  assert.ok(bench.device.holds(m.IOVA, 0, READ | WRITE, -1));
});

test('what may only be written untranslated is', () => {
  const { device, unit } = new Bench(m.SECOND_STAGE);
  assert.equal(device.access(0xfee00000 | 0, 0, READ, -1), 'fault');
  // A write of more than 4 bytes; those of 4 are interrupts and do not come as accesses.
  assert.equal(device.access(0xfee00000 | 0, 0, WRITE, -1), 'refused');
  assert.equal(Number((unit.read(0x228, 8) >> 32n) & 0xffn), 0x29);
});

test('translated requests carry the PASID if the device does so, and a unit must allow it', () => {
  const bench = new Bench(m.SECOND_STAGE, { pasidInTranslated: true });
  assert.equal(bench.device.access(m.IOVA, 0, READ, m.ONE), 'refused');
  bench.flip(m.CONTEXT, 1n << 6n); // EPTR
  bench.unit.caches.flush();
  assert.equal(bench.device.access(m.IOVA, 0, READ, m.ONE), 'translated');
});

test('No Snoop must be cleared where the completion says so', () => {
  const bench = new Bench(m.SECOND_STAGE);
  bench.device.access(m.IOVA, 0, READ, -1);
  assert.equal(bench.device.snooped, false);
  bench.flip(m.PASID_ENTRY + 8, 1n << 24n); // PGSNP
  bench.device.access(m.IOVA, 0, READ, m.ONE);
  assert.equal(bench.device.snooped, true);
});

test('an Unsupported Request turns ATS off at the device, a Completer Abort does not', () => {
  const aborted = new Bench(m.SECOND_STAGE);
  aborted.flip(m.SS4, 1n << 7n);
  assert.equal(aborted.device.access(m.IOVA, 0, READ, -1), 'aborted');
  assert.ok(aborted.device.ats);
  const { device, unit, ...bench } = new Bench(m.SECOND_STAGE);
  device.access(m.IOVA, 0, READ, -1);
  // Not an address of this device any more: DTE = PRE = 0.
  bench.memory.write64(m.CONTEXT, 0, BigInt(m.DIRECTORY) | 9n);
  unit.caches.flush();
  assert.equal(device.access(m.IOVA, 0, READ, m.ONE), 'untranslated');
  assert.ok(!device.ats && !device.holds(m.IOVA, 0, READ, -1));
});

test('an invalidation drops its range, and what has its PASID', () => {
  const PAGES = [0, 1, 2, 3, 7, 8];
  const held = (requests: Uint8Array[]) => {
    const bench = new Bench(m.FIRST_STAGE);
    for (let page = 0; page < 9; page++) bench.write(m.FS1 + page * 8, BigInt(m.PAGE) | 0x67n);
    for (const pasid of [-1, m.ONE])
      for (const page of PAGES) assert.equal(bench.device.access(m.IOVA + page * 0x1000, 0, READ, pasid), 'translated');
    assert.ok(bench.submitAndWait(...requests)());
    return [-1, m.ONE].map((pasid) => PAGES.filter((page) => bench.device.holds(m.IOVA + page * 0x1000, 0, READ, pasid)));
  };
  // Without PASID: whatever its PASID.
  assert.deepEqual(held([deviceTlb(m.IOVA + 0x1000)]), [
    [0, 2, 3, 7, 8],
    [0, 2, 3, 7, 8],
  ]);
  assert.deepEqual(held([deviceTlb(m.IOVA, 1)]), [
    [2, 3, 7, 8],
    [2, 3, 7, 8],
  ]);
  assert.deepEqual(held([deviceTlb(m.IOVA + 0x3000, 1)]), [[8], [8]]);
  assert.deepEqual(held([everything()]), [[], []]);
  assert.deepEqual(held([pasidDeviceTlb(m.IOVA + 0x1000, m.ONE, 1)]), [PAGES, [7, 8]]);
  assert.deepEqual(held([pasidDeviceTlb(m.IOVA, 9)]), [PAGES, PAGES]);
  assert.deepEqual(held([pasidDeviceTlb(m.IOVA, 9, 0, 1)]), [PAGES, [1, 2, 3, 7, 8]]);
  assert.deepEqual(held([pasidDeviceTlb(ALL, m.ONE, 1)]), [PAGES, []]);
});

test('a slow device is waited for, and uses what is stale until then', () => {
  const bench = new Bench(m.FIRST_STAGE);
  const { device } = bench;
  device.access(m.IOVA, 0, READ, -1);
  bench.write(m.FS1, 0n);
  device.answering = 'later';
  const invalidate = formats.PasidIotlbInvalidate.encode({ TYPE_0: TYPE.pasidIotlb, G: 2, DID: 1, PASID: 0 });
  const done = bench.submitAndWait(invalidate, deviceTlb(m.IOVA), deviceTlb(0));
  assert.ok(!done());
  assert.equal(device.access(m.IOVA, 0, READ, -1), 'translated');
  device.completeInvalidations();
  assert.ok(done());
  assert.equal(device.access(m.IOVA, 0, READ, -1), 'fault');
  device.completeInvalidations();
  assert.equal(bench.fsts, 0);
});

test('a silent device is timed out, and the queue goes on when software cleared ITE', () => {
  const bench = new Bench(m.SECOND_STAGE);
  bench.device.answering = 'never';
  const done = bench.submitAndWait(deviceTlb(m.IOVA));
  assert.deepEqual([bench.fsts, Number(bench.unit.read(0xb4, 4)), done()], [ITE, m.SID, false]);
  bench.unit.write(0x34, 4, ITE);
  assert.ok(done());
  // Nothing answers for a requester that is not there.
  bench.submit(everything(0x333));
  assert.deepEqual([bench.fsts, Number(bench.unit.read(0xb4, 4))], [ITE, 0x333]);
});

test('a device that completes after the time-out makes a completion error, which stops nothing', () => {
  const bench = new Bench(m.SECOND_STAGE);
  bench.device.answering = 'later';
  const done = bench.submitAndWait(deviceTlb(m.IOVA));
  timeOutDeviceTlb(bench.unit, 0);
  assert.equal(bench.fsts, ITE);
  bench.device.completeInvalidations();
  assert.deepEqual([bench.fsts, Number(bench.unit.read(0xb4, 4) >> 16n)], [ITE | ICE, m.SID]);
  bench.unit.write(0x34, 4, ITE | ICE);
  assert.ok(done());
  bench.device.answering = 'at once';
  assert.ok(bench.submitAndWait(deviceTlb(m.IOVA))());
});

test('a page is requested after a fault, mapped by software, and used after its response', () => {
  for (const pasid of [-1, m.ONE]) {
    const bench = new Bench(m.FIRST_STAGE);
    const { device } = bench;
    bench.write(m.FS1, 0n);
    assert.equal(device.access(m.IOVA | 8, 0, WRITE, pasid), 'fault');
    assert.equal(bench.fsts, 0, 'a recoverable fault is not reported');
    const PRGI = device.requestPage(m.IOVA | 8, 0, WRITE, pasid);
    assert.equal(device.group(PRGI), 'pending');
    const { RID, PP, PASID, ADDR, LPIG, RDR, WRR } = bench.request();
    assert.deepEqual([RID, PP, LPIG, RDR, WRR, ADDR], [m.SID, pasid < 0 ? 0 : 1, 1, 0, 1, m.IOVA / 4096]);
    bench.write(m.FS1, BigInt(m.PAGE) | 0x67n);
    const respond = (values: object) =>
      bench.submit(
        formats.PageGroupResponse.encode({
          TYPE_0: TYPE.pageGroupResponse,
          RID,
          PP,
          PASID,
          PRGI: bench.request().PRGI,
          ...values,
        }),
      );
    respond({ PP: 1, PASID: 77 });
    assert.equal(device.group(PRGI), 'pending', 'a response with another PASID is discarded');
    respond({});
    assert.equal(device.group(PRGI), 'success');
    assert.equal(device.access(m.IOVA | 8, 0, WRITE, pasid), 'translated');
    assert.equal(device.lo, m.PAGE | 8);
  }
});

test('a page that is invalid is told so, a request in legacy mode as well; a failure ends page requests', () => {
  const bench = new Bench(m.FIRST_STAGE, { groups: 2 });
  const { device } = bench;
  const respond = (PRGI: number, RC: number) =>
    bench.submit(formats.PageGroupResponse.encode({ TYPE_0: TYPE.pageGroupResponse, RID: m.SID, PRGI, RC }));
  const [one, two] = [device.requestPage(0x1000, 0, READ, -1), device.requestPage(0x2000, 0, READ | PRIV | EXEC, -1)];
  assert.deepEqual([one, two, device.requestPage(0x3000, 0, READ, -1)], [0, 1, -1]);
  respond(one, 1);
  assert.deepEqual([device.group(one), device.group(two)], ['invalid request', 'pending']);
  respond(one, 0);
  assert.equal(device.group(one), 'invalid request', 'it is answered already');
  respond(two, 15);
  assert.deepEqual([device.group(two), device.pri, device.requestPage(0x3000, 0, READ, -1)], ['response failure', false, -1]);
  const legacy = new Bench(undefined);
  assert.equal(legacy.device.group(legacy.device.requestPage(0x1000, 0, READ, -1)), 'invalid request');
});

test('a page request that found the queue full is answered at once, so that the device tries again', () => {
  const bench = new Bench(m.FIRST_STAGE, { groups: 512 });
  for (let each = 0; each < 127; each++)
    assert.equal(bench.device.group(bench.device.requestPage(0x1000, 0, READ, -1)), 'pending');
  assert.equal(bench.device.group(bench.device.requestPage(0x1000, 0, READ, -1)), 'success');
});

test('a stop marker is queued behind the requests of its PASID, and never answered', () => {
  const bench = new Bench(m.FIRST_STAGE, { groups: 1 });
  const PRGI = bench.device.requestPage(0x1000, 0, READ, m.ONE);
  bench.device.markStop(m.ONE);
  const { PASID, LPIG, RDR, WRR } = bench.request();
  assert.deepEqual([PASID, LPIG, RDR, WRR], [m.ONE, 1, 0, 0]);
  // A PASID that is not there: IR for a request, nothing for a marker.
  bench.device.markStop(77);
  assert.equal(bench.device.group(PRGI), 'pending');
});

test('a device is restored to what it was', () => {
  const bench = new Bench(m.FIRST_STAGE);
  const { device } = bench;
  device.access(m.IOVA, 0, READ, -1);
  device.answering = 'later';
  const done = bench.submitAndWait(deviceTlb(0));
  const PRGI = device.requestPage(0, 0, READ, m.ONE);
  const kept = structuredClone(device.snapshot());
  device.completeInvalidations();
  device.disableAts();
  device.respond({ sid: m.SID, pasid: m.ONE, PRGI, RC: 15 });
  assert.ok(done());
  device.restore(kept);
  assert.deepEqual(device.snapshot(), kept);
  assert.ok(device.holds(m.IOVA, 0, READ, -1) && device.pri);
  assert.throws(() => new DeviceTlb(bench.unit, { sid: 1, size: 3 }).restore(kept), /another size/);
  assert.throws(() => (bench.unit.devices as DeviceTlbs).attach(device), /requester-id 256/);
});

const anyPage = fc.integer({ min: 0, max: 7 });
const anyStep = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant('access' as const), page: anyPage, access: fc.constantFrom(READ, WRITE) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('map' as const),
      page: anyPage,
      frame: fc.integer({ min: 0x100, max: 0x110 }),
      rights: fc.constantFrom(0n, 0x65n, 0x67n, 0x67n),
    }),
  },
  // A range of 2 to the power of `size` pages.
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('invalidate' as const), page: anyPage, size: fc.integer({ min: 0, max: 4 }) }),
  },
  fc.record({ do: fc.constant('slow' as const), slow: fc.boolean() }),
);

test('a device may use a stale translation until its invalidation completed, and never after', () => {
  fc.assert(
    fc.property(
      fc.array(anyStep, { minLength: 20, maxLength: 100 }),
      fc.constantFrom(0, 2, 64),
      fc.constantFrom(-1, m.ONE),
      fc.boolean(),
      (steps, size, pasid, cached) => {
        const bench = new Bench(m.FIRST_STAGE, { size }, cached ? {} : { caches: NO_CACHES });
        const { device } = bench;
        const twin = new VtdUnit({ ...bench.unit.config, caches: NO_CACHES });
        Object.assign(twin.active, bench.unit.active);
        const PASID = pasid < 0 ? 0 : pasid;
        const address = (page: number) => m.IOVA + page * 0x1000;
        const fresh = (page: number, access: number) =>
          twin.translate(m.SID, address(page), 0, access, pasid) === 0 ? twin.out.lo : -1;
        // By page: where it led at any time since nothing of it was stale; and the same since the invalidation under way.
        const allowed = Array.from({ length: 8 }, () => new Set<number>());
        const coming = Array.from({ length: 8 }, (): Set<number> | undefined => undefined);
        const note = (page: number) => {
          for (const access of [READ, WRITE]) for (const set of [allowed[page], coming[page]]) set?.add(fresh(page, access));
        };
        const settle = () => {
          for (let page = 0; page < 8; page++) {
            if (coming[page] !== undefined) allowed[page] = coming[page]!;
            coming[page] = undefined;
          }
        };
        for (let page = 0; page < 8; page++) note(page);
        for (const step of steps) {
          if (step.do === 'access') {
            const how = device.access(address(step.page), 0, step.access, pasid);
            assert.ok(how === 'translated' || how === 'fault', how);
            const where = how === 'fault' ? -1 : device.lo;
            assert.ok(allowed[step.page]!.has(where), `page ${step.page}: 0x${where.toString(16)}`);
            if (allowed[step.page]!.size === 1) assert.equal(where, fresh(step.page, step.access));
          } else if (step.do === 'map') {
            bench.write(m.FS1 + step.page * 8, step.rights === 0n ? 0n : (BigInt(step.frame) << 12n) | step.rights);
            note(step.page);
          } else if (step.do === 'slow') {
            device.answering = step.slow ? 'later' : 'at once';
            device.completeInvalidations();
            settle();
          } else {
            // One at a time: the wait descriptor of the one before holds the next one back.
            device.completeInvalidations();
            settle();
            const first = (step.page >> step.size) << step.size;
            const ones = address(first) + (2 ** step.size - 1) * 0x1000 - (step.size ? 2 ** (step.size - 1) * 0x1000 : 0);
            const unitFirst = formats.PasidIotlbInvalidate.encode({
              ...{ TYPE_0: TYPE.pasidIotlb, G: 3, DID: 1, PASID, AM: step.size },
              ADDR: address(first) / 4096,
            });
            const atDevice = pasid < 0 ? deviceTlb(ones, step.size ? 1 : 0) : pasidDeviceTlb(ones, pasid, step.size ? 1 : 0);
            const done = bench.submitAndWait(unitFirst, atDevice);
            for (let page = first; page < first + 2 ** step.size && page < 8; page++) {
              coming[page] = new Set();
              for (const access of [READ, WRITE]) coming[page]!.add(fresh(page, access));
            }
            assert.equal(done(), device.answering === 'at once');
            if (done()) settle();
          }
        }
        device.completeInvalidations();
        assert.equal(bench.fsts, 0);
      },
    ),
    { numRuns: 200 },
  );
});
