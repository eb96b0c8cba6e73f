import { hex } from '../bits/index.ts';
import { type Findings, overlapping } from './findings.ts';
import type { IvhdBlock, IvmdBlock, Ivrs } from './ivrs.ts';
import { claimsOf, ivhdsOf } from './ivrs-scope.ts';

/** What an IVRS table says that cannot be, or that makes trouble. Each block by itself has been read. */
export function checkIvrs(ivrs: Ivrs, findings: Findings): void {
  const ivhds = ivrs.blocks.filter((block): block is IvhdBlock => block.type === 'IVHD');
  const ivmds = ivrs.blocks.filter((block): block is IvmdBlock => block.type === 'IVMD');
  // What is missing may be in the part that could not be read.
  const whole = !findings.list.some(({ is, offset }) => is === 'broken' && (offset === 4 || offset >= 48));
  if (whole && ivhds.length === 0) findings.broken(48, 'there is no IVHD: the table names no IOMMU');
  checkRevision(ivrs, ivhds, findings);
  for (const block of ivhds) checkIvhd(block, findings);
  checkSameUnit(ivhds, findings);
  checkRegisters(ivhdsOf(ivrs), findings);
  checkClaims(ivhdsOf(ivrs), findings);
  if (whole && ivhds.length > 0) checkInterrupts(ivhdsOf(ivrs), findings);
  checkMemory(ivmds, findings);
}

function checkRevision({ header, EFRSup }: Ivrs, ivhds: readonly IvhdBlock[], findings: Findings): void {
  const newest = ivhds.find(({ typeNumber }) => typeNumber === 0x40);
  if (header.Revision === 1)
    findings.odd(
      8,
      newest
        ? `Revision is 1, which knows no blocks of type 40h, and there is one at ${newest.offset}`
        : 'Revision is 1: the older format, without devices that only ACPI knows',
    );
  const extended = ivhds.find(({ efr }) => efr !== undefined && efr !== 0n);
  if (extended && !EFRSup) findings.odd(36, `EFRSup is clear, and the block at ${extended.offset} tells extended features`);
}

function checkIvhd({ offset, length, typeNumber, base, capabilityOffset, entries }: IvhdBlock, findings: Findings): void {
  // The end of a range may be in the part of the block that could not be read.
  const cut = findings.list.some((one) => one.is === 'broken' && one.offset >= offset && one.offset < offset + length);
  if (base === 0n) findings.broken(offset + 8, 'IVHD has no base address');
  else if (base % 0x4000n !== 0n) findings.odd(offset + 8, `IVHD registers at ${hex(base)} are not aligned to 16 KiB`);
  if (capabilityOffset < 0x40 || capabilityOffset > 0xfc)
    findings.odd(offset + 6, `the capability header would be at ${hex(capabilityOffset)}, where none can be`);
  let open: { offset: number; deviceId: number } | undefined;
  const unended = () => {
    if (open) findings.broken(open.offset, `the range that begins at ${hex(open.deviceId, 4)} is not ended`);
    open = undefined;
  };
  for (const one of entries) {
    if (one.type === 'acpi' && typeNumber !== 0x40)
      findings.odd(one.offset, 'an ACPI device stands in a block that is not of type 40h; Linux skips it');
    if (one.type === 'start' || one.type === 'aliasStart' || one.type === 'extendedStart') {
      unended();
      open = one;
    } else if (one.type === 'end') {
      if (!open) findings.broken(one.offset, `the end of a range at ${hex(one.deviceId, 4)} has no start`);
      else if (one.deviceId < open.deviceId)
        findings.broken(one.offset, `the range ends at ${hex(one.deviceId, 4)}, before its start, ${hex(open.deviceId, 4)}`);
      open = undefined;
    } else if (one.type !== 'pad') unended();
  }
  if (!cut) unended();
}

/** The blocks of one IOMMU differ in type and say the same of where it is. */
function checkSameUnit(ivhds: readonly IvhdBlock[], findings: Findings): void {
  const seen = new Map<string, IvhdBlock>();
  const types = new Map<string, IvhdBlock>();
  for (const block of ivhds) {
    const unit = `${block.segment} ${block.deviceId}`;
    const first = seen.get(unit);
    if (first && first.base !== block.base)
      findings.broken(
        block.offset + 8,
        `the block at ${first.offset} has the registers of this IOMMU at ${hex(first.base)}, not at ${hex(block.base)}`,
      );
    seen.set(unit, first ?? block);
    const twin = types.get(`${unit} ${block.typeNumber}`);
    if (twin) findings.broken(block.offset, `the block at ${twin.offset} describes the same IOMMU with the same type`);
    types.set(`${unit} ${block.typeNumber}`, block);
  }
}

function checkRegisters(ivhds: readonly IvhdBlock[], findings: Findings): void {
  // 16 KiB without performance counters, which is the least. AMD IOMMU 48882 Rev 3.08, MMIO registers.
  const registers = ivhds
    .filter(({ base }) => base !== 0n)
    .map(({ base, offset, segment, deviceId }) => ({ start: base, end: base + 0x3fffn, offset, unit: `${segment} ${deviceId}` }));
  for (const { later, earlier } of overlapping(registers))
    if (later.unit !== earlier.unit)
      findings.broken(later.offset + 8, `IVHD registers at ${hex(later.start)} overlap those of the block at ${earlier.offset}`);
}

/** A device is behind one IOMMU. On machines with several the ranges do overlap, and the kernel takes the last. */
function checkClaims(ivhds: readonly IvhdBlock[], findings: Findings): void {
  const claims = ivhds.flatMap((block) =>
    claimsOf(block).map(({ offset, start, end }) => ({
      start: block.segment * 0x10000 + start,
      end: block.segment * 0x10000 + end,
      offset,
      block,
    })),
  );
  const told = new Set<number>();
  for (const { later, earlier } of overlapping(claims)) {
    if (later.block.deviceId === earlier.block.deviceId || told.has(later.offset)) continue;
    told.add(later.offset);
    findings.odd(
      later.offset,
      `some of these devices are behind the IOMMU at ${earlier.block.offset} already; Linux takes the last`,
    );
  }
}

/** Without an I/O APIC entry Linux leaves interrupt remapping off: check_ioapic_information of drivers/iommu/amd/init.c, 6.12. */
function checkInterrupts(ivhds: readonly IvhdBlock[], findings: Findings): void {
  const seen = new Map<string, number>();
  let ioapics = 0;
  for (const { entries } of ivhds)
    for (const one of entries) {
      if (one.type !== 'special') continue;
      if (one.variety === 1) ioapics++;
      const key = `${one.variety} ${one.handle}`;
      const before = seen.get(key);
      if (before === undefined) seen.set(key, one.offset);
      else
        findings.odd(
          one.offset,
          `${one.variety === 1 ? 'the I/O APIC' : 'the HPET'} ${one.handle} has an entry at ${before} already; Linux takes the first`,
        );
    }
  if (ioapics === 0)
    findings.odd(ivhds[0]?.offset ?? 48, 'no I/O APIC is named: Linux leaves interrupt remapping off on this machine');
}

/** AMD IOMMU 48882 Rev 3.08 chapter 5. */
function checkMemory(ivmds: readonly IvmdBlock[], findings: Findings): void {
  for (const { offset, typeNumber, flags, deviceId, auxiliaryData, base, memoryLength } of ivmds) {
    if (memoryLength === 0n) findings.broken(offset + 24, 'IVMD has no bytes');
    else if (base % 4096n !== 0n || memoryLength % 4096n !== 0n)
      findings.odd(offset + 16, `IVMD at ${hex(base)} with ${memoryLength} bytes is no whole number of 4 KiB pages`);
    if (base + memoryLength > 1n << 64n) findings.broken(offset + 24, 'IVMD runs over the end of the address space');
    if (typeNumber === 0x22 && auxiliaryData < deviceId)
      findings.broken(
        offset + 6,
        `IVMD is for devices up to ${hex(auxiliaryData, 4)}, which is before the first, ${hex(deviceId, 4)}`,
      );
    if ((flags & 0b1001) === 0) findings.odd(offset + 1, 'IVMD is neither mapped one to one nor left out: it has no effect');
    if (flags & 0xf0) findings.odd(offset + 1, `IVMD has reserved flags set: ${hex(flags, 2)}`);
  }
  const memory = ivmds.map(({ base, memoryLength, offset, typeNumber, segment, deviceId, auxiliaryData }) => ({
    start: base,
    end: base + memoryLength - 1n,
    offset,
    whose: `${typeNumber} ${segment} ${deviceId} ${auxiliaryData}`,
  }));
  for (const { later, earlier } of overlapping(memory))
    if (later.whose === earlier.whose)
      findings.odd(later.offset + 16, `IVMD at ${hex(later.start)} overlaps the one at ${earlier.offset}`);
}
