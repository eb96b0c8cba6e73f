import assert from 'node:assert/strict';
import { test } from 'node:test';
import { matchDmarFault, parseDmarFault } from './dmar-fault.ts';

const line = (text: string) => ({ at: 1, level: 3, text });
test('the forms of older and newer kernels are read alike', () => {
  for (const text of [
    'DMAR: [DMA Write NO_PASID] Request device [02:00.1] fault addr 0x10002000 [fault reason 0x0c] non-zero reserved fields in PTE',
    'DMAR: [DMA Write] Request device [02:00.1] PASID ffffffff fault addr 10002000 [fault reason 12] non-zero reserved fields in PTE',
    'DMAR: [DMA Write] Request device [02:00.1] fault addr 10002000 [fault reason 12] non-zero reserved fields in PTE',
    'DMAR:[DMA Write] Request device [02:00.1] fault addr 10002000 \nDMAR:[fault reason 12] non-zero reserved fields in PTE',
    'dmar: DMAR:[DMA Write] Request device [0x02:0x00.1] fault addr 10002000 ',
  ]) {
    const fault = matchDmarFault([line('DMAR: DRHD: handling fault status reg 2'), line(text)], {
      bdf: '0000:02:00.1',
      iova: 0x10002000,
    })?.fault;
    assert.equal(fault?.access, 'write', text);
    assert.ok(fault?.reason === 12 || !text.includes('[fault'), text);
  }
});

test('a PASID is told from its absence', () => {
  const text =
    'DMAR: [DMA Read PASID 0x7] Request device [02:00.1] fault addr 0x1000 [fault reason 0x06] PTE Read access is not set';
  assert.equal(parseDmarFault(line(text))?.fault.pasid, 7);
});

test('a fault counts for its function and its page alone', () => {
  const lines = [
    line(
      'DMAR: [DMA Write NO_PASID] Request device [02:00.1] fault addr 0x10002000 [fault reason 0x05] PTE Write access is not set',
    ),
  ];
  assert.ok(matchDmarFault(lines, { bdf: '0000:02:00.1', iova: 0x10002000 }));
  assert.ok(matchDmarFault(lines, { bdf: '0001:02:00.1', iova: 0x10002abc }));
  assert.equal(matchDmarFault(lines, { bdf: '0000:02:00.2', iova: 0x10002000 }), undefined);
  assert.equal(matchDmarFault(lines, { bdf: '0000:02:00.1', iova: 0x10003000 }), undefined);
  assert.equal(matchDmarFault([], { bdf: '0000:02:00.1', iova: 0x10002000 }), undefined);
});
