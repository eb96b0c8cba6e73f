import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DMA_ENTRY_LIMIT, dmaEntries, GUEST_PAGE } from './dma-entries.ts';

test('a guest that maps page by page reaches the default limit just below 256 MiB', () => {
  const within = dmaEntries({ memory: DMA_ENTRY_LIMIT * GUEST_PAGE, page: GUEST_PAGE });
  assert.deepEqual([within.result, within.fits], [65_535, true]);
  const beyond = dmaEntries({ memory: 2 ** 28, page: GUEST_PAGE });
  assert.deepEqual([beyond.result, beyond.fits], [65_536, false]);
  assert.match(
    beyond.lines.map(({ text }) => text).join('\n'),
    /268435456 bytes \/ 4096 bytes = 65536 mappings[\s\S]*more than dma_entry_limit 65535/,
  );
});

test('larger pages, another limit and what QEMU maps beside change the sum', () => {
  assert.equal(dmaEntries({ memory: 4 * 2 ** 30, page: 2 ** 21 }).result, 2048);
  assert.equal(dmaEntries({ memory: 2 ** 30 + 1, page: 2 ** 30, others: 5 }).result, 7);
  assert.equal(dmaEntries({ memory: 2 ** 28, page: GUEST_PAGE, limit: 70_000, others: 100 }).fits, true);
});
