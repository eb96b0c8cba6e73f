import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { compareFault, type RecordedFault, readRecords } from '../../../test/conformance/fault-lines.ts';
import { sharedData } from '../../../test/data.ts';
import { mutationRuns, mutations } from '../../../test/mutate.ts';
import { type AmdEvent, explainFault, flagsInWords, isSmmuFault, parseFault, REASONS, type VtdFault } from './index.ts';

test('the fault lines of real kernels are split as they were recorded', (t) => {
  const folder = sharedData('logs');
  if (folder === undefined) return t.skip('shared/data/logs is not beside this repository');
  const records = readRecords<RecordedFault>(join(folder, 'faults.jsonl'));
  assert.ok(records.length > 0);
  for (const record of records) assert.equal(compareFault(record), undefined, record.line);
});

const vtd = (text: string) => parseFault(text) as VtdFault;
const amd = (text: string) => parseFault(text) as AmdEvent;

test('the words of VT-d faults over the years are read alike', () => {
  for (const text of [
    'DMAR:[DMA Write] Request device [02:00.1] fault addr 10002000 \nDMAR:[fault reason 05] PTE Write access is not set',
    'dmar: DMAR:[DMA Write] Request device [02:00.1] fault addr 10002000 DMAR:[fault reason 05] PTE Write access is not set',
    'DMAR: [DMA Write] Request device [02:00.1] PASID ffffffff fault addr 10002000 [fault reason 05] PTE Write access is not set',
    'DMAR: [DMA Write NO_PASID] Request device [0x02:0x00.1] fault addr 0x10002000 [fault reason 0x05] PTE Write access is not set',
    '> [ 12.345678] DMAR: [DMA Write NO_PASID] Request device [02:00.1] fault addr 0x10002000 [fault reason 0x05] PTE Write access is not set',
  ]) {
    const { requester, address, reason, reasonText, access, pasid } = vtd(text);
    assert.deepEqual(
      { requester, address, reason, reasonText, access, pasid },
      {
        requester: '02:00.1',
        address: 0x10002000n,
        reason: 5,
        reasonText: 'PTE Write access is not set',
        access: 'write',
        pasid: undefined,
      },
      text,
    );
  }
  const xen = vtd(
    '(XEN) [VT-D]DMAR:[DMA Read] Request device [0000:03:00.0] fault addr 1000 (XEN) [VT-D]DMAR: reason 06 - PTE Read access is not set',
  );
  assert.deepEqual([xen.requester, xen.reason, xen.reasonText], ['0000:03:00.0', 6, 'PTE Read access is not set']);
});

test('a reason is decimal until it has its 0x, and a PASID is told from its absence', () => {
  assert.equal(
    vtd(
      'DMAR: [INTR-REMAP] Request device [f0:1f.7] fault index 1c [fault reason 38] Blocked an interrupt request due to source-id verification failure',
    ).reason,
    0x26,
  );
  assert.equal(
    vtd(
      'DMAR: [DMA Read] Request device [05:00.0] PASID ffffffff fault addr ffe00000 [fault reason 12] non-zero reserved fields in PTE',
    ).reason,
    0x0c,
  );
  assert.equal(
    vtd(
      'DMAR: [DMA Read PASID 0x7] Request device [05:00.0] fault addr 0x1000 [fault reason 0x71] SM: Present bit in first-level paging entry is clear',
    ).pasid,
    7,
  );
  assert.equal(vtd('DMAR: [DMA Read] Request device [05:00.0] PASID 3 fault addr 1000 [fault reason 71] Unknown').pasid, 3);
});

test('every reason of the table has its words, and every text that the kernel prints belongs to one number', () => {
  const printed = Object.values(REASONS).flatMap(({ kernel }) => kernel ?? []);
  assert.equal(new Set(printed).size, printed.length);
  for (const number of Object.keys(REASONS).map(Number)) {
    const meaning = explainFault({
      unit: 'vtd',
      kind: 'dma',
      access: 'write',
      requester: '01:00.0',
      address: 0n,
      reason: number,
    });
    assert.ok(meaning.usually.length > 0 && meaning.next.length > 0, String(number));
  }
});

test('a text that belongs to another number is told, one that was cut off is not', () => {
  const details = (rest: string) =>
    explainFault(vtd(`DMAR: [DMA Write] Request device [01:00.0] fault addr 1000 [fault reason ${rest}`)).details.join('; ');
  assert.match(details('0x06] PTE Write access is not set'), /words are those of reason 0x5/);
  assert.doesNotMatch(details('0x59] SM: Present bit in PA$'), /words are those/);
  assert.match(
    explainFault(
      vtd('DMAR: [DMA Read] Request device [00:02.0] fault addr 8900a000 [fault reason 05] PTE Write access is not set'),
    ).details.join('; '),
    /AtomicOp/,
  );
});

test('the status register is told bit by bit', () => {
  const meaning = explainFault(parseFault('DMAR: DRHD: handling fault status reg 702')!);
  assert.deepEqual(meaning.details, ['PPF: a fault is recorded', 'FRI: the fault is in recording register 7']);
  assert.match(explainFault(parseFault('DMAR: DRHD: handling fault status reg 40')!).details[0]!, /^ITE/);
  assert.equal(explainFault(parseFault('DMAR: VT-d detected Invalidation Time-out Error: SID 300')!).cause, 'hardware');
});

test('AMD-Vi events of every kind are taken apart, in old and new words', () => {
  const flags = (value: string, type = 'IO_PAGE_FAULT') =>
    flagsInWords(amd(`AMD-Vi: Event logged [${type} device=15:00.0 flags=${value}]`))!.join('; ');
  assert.match(flags('0x0070'), /PR: .*RW: a write; PE: permission/);
  assert.match(flags('0x0020'), /PR=0: nothing is mapped there; RW: a write/);
  assert.match(flags('0x0a00', 'INVALID_DEVICE_REQUEST'), /interrupts are not allowed \(IntCtl is 0\)/);
  const old = amd('AMD-Vi: Event logged [IO_PAGE_FAULT device=15:00.0 domain=0x0000 address=0x00000000fdeaf040 flags=0x0020]');
  assert.deepEqual([old.requester, old.address, old.domain, old.driver], ['15:00.0', 0xfdeaf040n, 0, undefined]);
  const unit = amd(
    'iommu ivhd0: AMD-Vi: Event logged [INVALID_DEVICE_REQUEST device=0000:00:14.0 pasid=0x00000 address=0xfffffffdf8000000 flags=0x0a00]',
  );
  assert.deepEqual([unit.requester, unit.reporter, unit.driver], ['0000:00:14.0', 'ivhd0', undefined]);
  const rmp = amd(
    'vfio-pci 0000:41:00.0: AMD-Vi: Event logged [RMP_PAGE_FAULT vmg_tag=0x0001, gpa=0x12345000, flags_rmp=0x0012, flags=0x0020]',
  );
  assert.deepEqual([rmp.address, rmp.fields.vmg_tag, explainFault(rmp).cause], [0x12345000n, '0x0001', 'rmp']);
  const unknown = amd('AMD-Vi: Event logged [UNKNOWN event[0]=0x00000001 event[1]=0xf0000002 event[2]=0x3 event[3]=0x4');
  assert.equal(unknown.fields['event[1]'], '0xf0000002');
  for (const type of [
    'ILLEGAL_DEV_TABLE_ENTRY',
    'DEV_TAB_HARDWARE_ERROR',
    'PAGE_TAB_HARDWARE_ERROR',
    'ILLEGAL_COMMAND_ERROR',
    'COMMAND_HARDWARE_ERROR',
    'IOTLB_INV_TIMEOUT',
    'INVALID_PPR_REQUEST',
    'RMP_HW_ERROR',
  ])
    assert.ok(explainFault(amd(`AMD-Vi: Event logged [${type} address=0x1000]`)).cause, type);
});

test('lines of other units and other lines are no faults', () => {
  assert.equal(parseFault('DMAR: DRHD base: 0x000000fed90000 flags: 0x0'), undefined);
  assert.equal(parseFault('AMD-Vi: Interrupt remapping enabled'), undefined);
  const smmu = 'arm-smmu-v3 arm-smmu-v3.0.auto: event 0x10 received:';
  assert.equal(parseFault(smmu), undefined);
  assert.ok(isSmmuFault(smmu));
});

test('mutated fault lines are read or refused, and never throw', () => {
  const samples = [
    'DMAR: [DMA Write NO_PASID] Request device [0x02:0x00.1] fault addr 0x10002000 [fault reason 0x05] PTE Write access is not set',
    'DMAR:[INTR-REMAP] Request device [f0:1f.7] fault index 1c \nDMAR:[fault reason 38] Blocked an interrupt request',
    'xhci_hcd 0000:06:00.3: AMD-Vi: Event logged [IO_PAGE_FAULT domain=0x0013 address=0xfe836480 flags=0x0000]',
    'AMD-Vi: Event logged [UNKNOWN event[0]=0x00000001 event[1]=0xf0000002 event[2]=0x3 event[3]=0x4',
  ].map((text) => new TextEncoder().encode(text));
  for (const bytes of mutations(11, mutationRuns(), samples)) {
    const fault = parseFault(new TextDecoder().decode(bytes));
    if (fault !== undefined) assert.equal(typeof explainFault(fault).says, 'string');
  }
});
