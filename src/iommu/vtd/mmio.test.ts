import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CAP, ECAP, type RecordingUnit, recordingUnit } from '../../../test/register-unit.ts';
import { recordFault } from './faultlog.ts';
import { readWord, writePair, writeWord } from './mmio.ts';
import { isProtected } from './protected-memory.ts';
import { mapRegisters, REGISTERS } from './register-map.ts';

const TE = 1 << 31;
const SRTP = 1 << 30;
const QIE = 1 << 26;
const IRE = 1 << 25;
const SIRTP = 1 << 24;
const CFI = 1 << 23;
const MTS = 1n << 25n;

const read = (unit: RecordingUnit, offset: number): number => readWord(unit, offset) >>> 0;
const read64 = (unit: RecordingUnit, offset: number): bigint =>
  (BigInt(read(unit, offset + 4)) << 32n) | BigInt(read(unit, offset));
const write64 = (unit: RecordingUnit, offset: number, value: bigint): void =>
  writePair(unit, offset, Number(BigInt.asIntN(32, value)), Number(BigInt.asIntN(32, value >> 32n)));

test('registers lie where Table "Register Descriptions" has them', () => {
  const offsets = Object.fromEntries(REGISTERS.map((info) => [info.name, info.at(CAP, ECAP)]));
  // VT-d 5.10 §11.4, and FRO and IRO of this unit.
  assert.deepEqual(
    { ...offsets },
    {
      ...{ VER_REG: 0, CAP_REG: 8, ECAP_REG: 0x10, GCMD_REG: 0x18, GSTS_REG: 0x1c, RTADDR_REG: 0x20, CCMD_REG: 0x28 },
      ...{ FSTS_REG: 0x34, FECTL_REG: 0x38, FEDATA_REG: 0x3c, FEADDR_REG: 0x40, FEUADDR_REG: 0x44, PMEN_REG: 0x64 },
      ...{ PLMBASE_REG: 0x68, PLMLIMIT_REG: 0x6c, PHMBASE_REG: 0x70, PHMLIMIT_REG: 0x78, IQH_REG: 0x80, IQT_REG: 0x88 },
      ...{ IQA_REG: 0x90, ICS_REG: 0x9c, IECTL_REG: 0xa0, IEDATA_REG: 0xa4, IEADDR_REG: 0xa8, IEUADDR_REG: 0xac },
      ...{ IQERCD_REG: 0xb0, IRTA_REG: 0xb8, PQH_REG: 0xc0, PQT_REG: 0xc8, PQA_REG: 0xd0, PRS_REG: 0xdc, PECTL_REG: 0xe0 },
      ...{ PEDATA_REG: 0xe4, PEADDR_REG: 0xe8, PEUADDR_REG: 0xec, MTRRCAP_REG: 0x100, MTRRDEF_REG: 0x108 },
      ...{ MTRR_FIX_REG: 0x120, MTRR_PHYSBASE_REG: 0x180, MTRR_PHYSMASK_REG: 0x188, ECMD_REG: 0x400, ECEO_REG: 0x408 },
      ...{ ECRSP_REG: 0x410, RDTC_REG: 0xdc0, VCMD_REG: 0xe00, VCMD_EO_REG: 0xe08, VCRSP_REG: 0xe10, VCCAP_REG: 0xe30 },
      ...{ IVA_REG: 0x500, IOTLB_REG: 0x508, FRCD_REG: 0x400 },
    },
  );
});

test('after reset events are masked, capabilities show, and everything else is 0', () => {
  const unit = recordingUnit({ ver: 0x60 });
  assert.equal(read(unit, 0), 0x60);
  assert.equal(read64(unit, 8), CAP);
  assert.equal(read64(unit, 0x10), ECAP);
  const masked = [0x38, 0xa0, 0xe0];
  for (let offset = 0x18; offset < 0x1000; offset += 4)
    assert.equal(read(unit, offset), masked.includes(offset) ? 0x80000000 : 0, `0x${offset.toString(16)}`);
});

test('a register behind another one is a wrong FRO or IRO, and named', () => {
  assert.throws(() => mapRegisters(CAP & ~(0x3ffn << 24n), ECAP, 0x10, 46), /FRCD_REG at 0x0 lies on VER_REG/);
  assert.throws(() => mapRegisters(CAP, (ECAP & ~(0x3ffn << 8n)) | (0x40n << 8n), 0x10, 46), /FRCD_REG at 0x400 lies on IVA_REG/);
});

test('what a unit cannot do is reserved: it reads 0 and keeps nothing', () => {
  const bare = recordingUnit({ cap: (0x40n << 24n) | 2n, ecap: 0x50n << 8n });
  const gone = [0x64, 0x68, 0x6c, 0x70, 0x74, 0x80, 0x88, 0x90, 0x9c, 0xa0, 0xa8, 0xb0, 0xb8, 0xc0, 0xd0, 0xdc, 0xe0];
  for (const offset of gone) {
    writeWord(bare, offset, -1);
    assert.equal(read(bare, offset), 0, `0x${offset.toString(16)}`);
  }
  writeWord(bare, 0x18, QIE | IRE | SIRTP | CFI);
  assert.equal(read(bare, 0x1c), 0);
  writeWord(bare, 0x44, -1);
  assert.equal(read(bare, 0x44), 0, 'FEUADDR_REG belongs to EIM');
  write64(bare, 0x20, -1n);
  assert.equal(read64(bare, 0x20), 0xfffffffffffffc00n, 'SSIRWE belongs to SSIRWS');
});

test('MTRRs hold addresses of the host', () => {
  const unit = recordingUnit({ ecap: ECAP | MTS, haw: 46 });
  write64(unit, 0x180, -1n);
  write64(unit, 0x188, -1n);
  assert.deepEqual([read64(unit, 0x180), read64(unit, 0x188)], [0x3fff_ffff_f0ffn, 0x3fff_ffff_f800n]);
});

test('fault records and IOTLB registers may lie where a unit with more capabilities has others', () => {
  // One record at 0xd0, its F bit at 0xdc as PRS_REG; IVA_REG at 0x400 as ECMD_REG.
  const cap = (CAP & ~(0x3ffn << 24n) & ~(0xffn << 40n)) | (0xdn << 24n);
  const unit = recordingUnit({ cap, ecap: (ECAP & ~(1n << 29n) & ~(0x3ffn << 8n)) | (0x40n << 8n) });
  recordFault(unit, 5, 0x100, 0x1000, 0, 0, 0, -1, 0);
  assert.deepEqual([read(unit, 0xdc) >>> 0, read(unit, 0x34)], [0x80000005, 2]);
  writeWord(unit, 0xdc, 1 << 31);
  assert.deepEqual([read(unit, 0xdc), read(unit, 0x34)], [5, 0]);
  writeWord(unit, 0x400, -1);
  assert.equal(read64(unit, 0x410), 0n);
  writeWord(unit, 0x40c, 0x90000000 | 0);
  assert.equal(read(unit, 0x40c), 0x12000000);
  assert.deepEqual(
    unit.calls.map(([name]) => name),
    ['invalidateIotlb'],
  );
});

test('offsets without a register, and those between words, read 0 and ignore writes', () => {
  const unit = recordingUnit();
  for (const offset of [4, 0x30, 0x48, 0x98, 0xd8, 0xff0, 0x1000, 0x20000, 2, 0x21, -4, 1e9]) {
    const before = unit.registers.words.slice();
    writeWord(unit, offset, -1);
    writePair(unit, offset & ~7, 0, 0);
    assert.equal(read(unit, offset), 0);
    assert.deepEqual(unit.registers.words, before);
  }
});

test('software writes only what is writable, and clears only what is cleared by 1', () =>
  fc.assert(
    fc.property(fc.integer({ min: 8, max: 0x5fc / 4 }), fc.integer(), fc.integer(), (word, first, second) => {
      const unit = recordingUnit();
      const { writable, clearable, readable } = unit.map;
      // Commands change themselves; what they do is tested below.
      fc.pre(![0x18, 0x2c, 0x50c, 0x64, 0x400, 0x404].includes(word * 4));
      writeWord(unit, word * 4, first);
      writeWord(unit, word * 4, second);
      assert.equal(readWord(unit, word * 4) & writable[word]!, second & writable[word]! & readable[word]!);
      assert.equal(readWord(unit, word * 4) & clearable[word]!, 0);
    }),
  ));

test('the root table is taken over by SRTP, not when it is written', () => {
  const unit = recordingUnit();
  write64(unit, 0x20, 0x12_3456_7400n);
  assert.equal(unit.active.rootLo, 0);
  writeWord(unit, 0x18, SRTP);
  assert.deepEqual([unit.active.rootLo, unit.active.rootHi, unit.active.TTM], [0x34567000, 0x12, 1]);
  assert.equal(read(unit, 0x1c), SRTP);
  assert.equal(read(unit, 0x18), 0);
  write64(unit, 0x20, 0n);
  writeWord(unit, 0x18, TE);
  assert.equal(read(unit, 0x1c), (TE | SRTP) >>> 0);
  assert.equal(unit.active.rootLo, 0x34567000);
  assert.deepEqual(unit.calls, []);
});

test('SRTP drops the caches when ESRTPS says so, and turning translation off does in a scalable unit', () => {
  const unit = recordingUnit({ cap: CAP | (1n << 63n) });
  writeWord(unit, 0x18, SRTP);
  assert.deepEqual(unit.calls, [
    ['invalidateContextCache', 1, 0, 0, 0],
    ['invalidatePasidCache', 3, 0, 0],
    ['invalidateIotlb', 1, 0, 0, 0, 0, 0],
    ['invalidateHostPermissions', 1, 0, 0, 0, 0, 0],
  ]);
  writeWord(unit, 0x18, TE);
  writeWord(unit, 0x18, 0);
  assert.equal(unit.calls.length, 8);
  const legacy = recordingUnit({ ecap: ECAP & ~(1n << 43n) });
  writeWord(legacy, 0x18, TE);
  writeWord(legacy, 0x18, 0);
  assert.deepEqual(legacy.calls, []);
});

test('the interrupt table is taken over by SIRTP, and its cache dropped when ESIRTPS says so', () => {
  const unit = recordingUnit({ cap: CAP | (1n << 62n) });
  write64(unit, 0xb8, 0xffff_ffff_ffff_f80fn);
  assert.equal(read64(unit, 0xb8), 0xffff_ffff_ffff_f80fn);
  writeWord(unit, 0x18, SIRTP);
  const { EIME, tableLo, tableHi, entries } = unit.interruptRules;
  // The host has 46 address bits.
  assert.deepEqual([EIME, tableLo, tableHi, entries], [1, -4096, 0x3fff, 65536]);
  writeWord(unit, 0x18, SIRTP | IRE | CFI);
  const { IRES, CFIS } = unit.interruptRules;
  assert.deepEqual([IRES, CFIS, unit.active.TES, read(unit, 0x1c)], [1, 1, 0, SIRTP | IRE | CFI]);
  writeWord(unit, 0x18, 0);
  assert.equal(unit.calls.length, 3);
});

test('registers invalidate in legacy mode, and say how far', () => {
  const unit = recordingUnit({ cap: (CAP & ~7n) | 2n });
  const context = (value: bigint): bigint => {
    write64(unit, 0x28, value);
    return read64(unit, 0x28);
  };
  assert.equal(context(0xa000_0000_0000_0000n), 0x2800_0000_0000_0000n);
  assert.equal(context(0xc000_0000_0000_0123n), 0x5000_0000_0000_0123n);
  assert.equal(context(0xe000_0002_1234_0005n), 0x7800_0000_0000_0005n);
  assert.equal(context(0x8000_0000_0000_0000n), 0n, 'a reserved granularity');
  assert.equal(context(0x2000_0000_0000_0000n), 0x2000_0000_0000_0000n, 'no command without ICC');
  write64(unit, 0x500, 0x7fff_ffff_f045n);
  write64(unit, 0x508, 0xb000_ffff_0000_0000n);
  assert.equal(read64(unit, 0x508), 0x3600_ffff_0000_0000n);
  assert.equal(read64(unit, 0x500), 0n, 'IVA_REG is write-only');
  // Domain-ids have 8 bits here;
  assert.deepEqual(unit.calls, [
    ['invalidateContextCache', 1, 0, 0, 0],
    ['invalidateContextCache', 2, 0x23, 0, 0],
    ['invalidateContextCache', 3, 5, 0x1234, 2],
    ['invalidateIotlb', 3, 0xff, -4096, 0x7fff, 5, 1],
  ]);
  write64(unit, 0x500, 0x13n);
  write64(unit, 0x508, 0xb000_0000_0000_0000n);
  assert.equal(read64(unit, 0x508), 0x3000_0000_0000_0000n, 'a mask beyond MAMV');
});

test('bits of an address from the maximum guest address width on do not count', () => {
  const unit = recordingUnit({ cap: (CAP & ~(0x3fn << 16n)) | (47n << 16n) });
  write64(unit, 0x500, 0xfff1_2345_6000_5000n);
  write64(unit, 0x508, 0xb000_0007_0000_0000n);
  assert.deepEqual(unit.calls, [['invalidateIotlb', 3, 7, 0x60005000, 0x2345, 0, 0]]);
});

test('a unit without page-selective invalidation does a domain in its place, and says so', () => {
  const unit = recordingUnit({ cap: CAP & ~(1n << 39n) });
  // The mask does not count: there is none that it could exceed.
  write64(unit, 0x500, 0x503fn);
  write64(unit, 0x508, 0xb000_0007_0000_0000n);
  assert.equal(read64(unit, 0x508), 0x3400_0007_0000_0000n);
  assert.deepEqual(unit.calls, [['invalidateIotlb', 2, 7, 0x5000, 0, 0x3f, 0]]);
});

test('registers do not invalidate while the queue is on, in scalable mode, or from major version 6 on', () => {
  const off = recordingUnit({ ver: 0x60 });
  const queued = recordingUnit();
  writeWord(queued, 0x18, QIE);
  const scalable = recordingUnit();
  write64(scalable, 0x20, 0x400n);
  writeWord(scalable, 0x18, SRTP);
  for (const unit of [off, queued, scalable]) {
    write64(unit, 0x28, 0xa000_0000_0000_0000n);
    write64(unit, 0x508, 0x9000_0000_0000_0000n);
    assert.equal(read64(unit, 0x28), 0x2000_0000_0000_0000n);
    assert.equal(read64(unit, 0x508), 0x1000_0000_0000_0000n);
    assert.deepEqual(unit.calls, []);
  }
});

test('protected memory is what base and limit say when protection is turned on', () => {
  const unit = recordingUnit();
  writeWord(unit, 0x68, 0x101fffff);
  writeWord(unit, 0x6c, 0x10200000);
  write64(unit, 0x70, 0x1_0000_0000n);
  write64(unit, 0x78, 0x2_ffff_ffffn);
  const hit = (lo: number, hi = 0): boolean => isProtected(unit.map, unit.registers.regions, lo, hi);
  assert.equal(hit(0x10200000), false);
  writeWord(unit, 0x64, 1 << 31);
  assert.equal(read(unit, 0x64), 0x80000001);
  assert.deepEqual(
    [0x100fffff, 0x10100000, 0x102fffff, 0x10300000].map((lo) => hit(lo)),
    [false, true, true, false],
  );
  assert.deepEqual([hit(-1, 0), hit(0, 1), hit(-1, 2), hit(0, 3)], [false, true, true, false]);
  // The low region is below 4 GiB.
  assert.equal(hit(0x10200000, 4), false);
  // A limit below its base turns the region off, from the next time on.
  writeWord(unit, 0x6c, 0);
  assert.equal(hit(0x10200000), true);
  writeWord(unit, 0x64, 0);
  writeWord(unit, 0x64, 1 << 31);
  assert.equal(hit(0x10200000), false);
});

test('virtual commands allocate and free PASIDs', () => {
  const unit = recordingUnit({ ecap: (ECAP & ~(31n << 35n)) | (9n << 35n) | (1n << 44n) });
  const command = (value: bigint): bigint => {
    write64(unit, 0xe00, value);
    return read64(unit, 0xe10);
  };
  assert.equal(read64(unit, 0xe30), 7n);
  assert.deepEqual(
    [command(0n), command(1n), command(1n), command(0x1_0002n), command(1n)],
    [0n, 0x10000n, 0x20000n, 0n, 0x10000n],
  );
  assert.deepEqual([command(0x9_0002n), command(3n)], [32n, 2n]);
  for (let pasid = 3; pasid < 1024; pasid++) writePair(unit, 0xe00, 1, 0);
  assert.equal(read64(unit, 0xe10), 0x3ff_0000n);
  assert.equal(command(1n), 32n);
});
