import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { loadOrder, parseModules } from './modules.ts';

const DEP = `kernel/drivers/net/ethernet/intel/igb/igb.ko.xz: kernel/drivers/i2c/algos/i2c-algo-bit.ko.xz kernel/drivers/dca/dca.ko.xz
kernel/drivers/i2c/algos/i2c-algo-bit.ko.xz:
kernel/drivers/dca/dca.ko.xz:
kernel/drivers/iommu/virtio-iommu.ko:
kernel/fs/9p/9p.ko.xz: kernel/net/9p/9pnet.ko.xz kernel/fs/netfs/netfs.ko.xz
kernel/net/9p/9pnet.ko.xz:
kernel/net/9p/9pnet_virtio.ko.xz: kernel/net/9p/9pnet.ko.xz
kernel/fs/netfs/netfs.ko.xz:
`;
const INDEX = parseModules(DEP, 'kernel/drivers/virtio/virtio_pci.ko\n');

test('what a module needs comes before it, once, and a built-in module is nothing to load', () => {
  const names = loadOrder(INDEX, ['virtio_pci', '9pnet_virtio', '9p', 'igb']).map((file) => file.split('/').at(-1));
  assert.equal(new Set(names).size, names.length);
  const before = (a: string, b: string) =>
    assert.ok(names.indexOf(a) >= 0 && names.indexOf(a) < names.indexOf(b), `${a} before ${b}`);
  before('9pnet.ko.xz', '9pnet_virtio.ko.xz');
  before('netfs.ko.xz', '9p.ko.xz');
  before('dca.ko.xz', 'igb.ko.xz');
  before('9pnet_virtio.ko.xz', 'igb.ko.xz');
});

test('a module is found by either spelling of its name', () => {
  assert.deepEqual(loadOrder(INDEX, ['virtio_iommu']), ['kernel/drivers/iommu/virtio-iommu.ko']);
  assert.deepEqual(loadOrder(INDEX, ['virtio-iommu']), ['kernel/drivers/iommu/virtio-iommu.ko']);
});

test('a missing module is an error unless it may be missing', () => {
  assert.throws(() => loadOrder(INDEX, ['nothing']), /no module nothing/);
  assert.deepEqual(loadOrder(INDEX, ['nothing?']), []);
});

test('without a list of what is built in, what is no module is taken to be built in', () => {
  assert.deepEqual(loadOrder(parseModules(DEP, undefined), ['virtio_pci', 'dca']), ['kernel/drivers/dca/dca.ko.xz']);
});

test('order holds for every graph without cycles', () => {
  const graph = fc.array(fc.array(fc.nat(), { maxLength: 4 }), { minLength: 1, maxLength: 12 });
  fc.assert(
    fc.property(graph, (raw) => {
      // depmod lists needs transitively, nearest first.
      const direct = raw.map((needs, index) => needs.filter(() => index > 0).map((need) => need % index));
      const all = (index: number): number[] => [...new Set(direct[index]!.flatMap((need) => [need, ...all(need)]))];
      const depths = new Map<number, number>();
      const depth = (index: number): number => {
        const known = depths.get(index) ?? Math.max(0, ...direct[index]!.map((need) => depth(need) + 1));
        depths.set(index, known);
        return known;
      };
      const text = direct
        .map(
          (_, index) =>
            `m${index}.ko: ${all(index)
              .sort((a, b) => depth(b) - depth(a))
              .map((need) => `m${need}.ko`)
              .join(' ')}\n`,
        )
        .join('');
      const order = loadOrder(
        parseModules(text, ''),
        direct.map((_, index) => `m${index}`),
      );
      assert.equal(order.length, direct.length);
      for (const [index, needs] of direct.entries())
        for (const need of needs) assert.ok(order.indexOf(`m${need}.ko`) < order.indexOf(`m${index}.ko`));
    }),
  );
});
