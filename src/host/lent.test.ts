import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FOLDER, type Place, Tree, treeHost } from '../../test/tree-host.ts';
import type { PciFunction } from './functions.ts';
import { readLent } from './lent.ts';

const BDF = '0000:01:10.0';

function fn(bdf: string, driver: string | undefined, interfaces: string[] = [], code = 0x020000): PciFunction {
  return {
    bdf,
    vendor: 0x8086,
    device: 1,
    class: code,
    path: `/sys/devices/pci0000:00/${bdf}`,
    virtfns: [],
    interfaces,
    nvme: [],
    resources: [],
    vfioDevices: [],
    ...(driver === undefined ? {} : { driver }),
  };
}
const lentOf = async (functions: PciFunction[], places: Record<string, Place> = {}) =>
  await readLent(treeHost(new Tree(places)), functions);

test('an empty net folder under a driver that makes interfaces here means another network namespace', async () => {
  const { lent, uncertain } = await lentOf([fn(BDF, 'igbvf'), fn('0000:01:10.2', 'igbvf', ['eth3'])]);
  assert.deepEqual(lent, [{ bdf: BDF, kind: 'namespace', what: 'igbvf', where: `/sys/bus/pci/devices/${BDF}/net` }]);
  assert.deepEqual(uncertain, []);
});

test('under a driver that has no interface here at all it stays uncertain', async () => {
  const { lent, uncertain } = await lentOf([fn(BDF, 'mlx5_core'), fn('0000:01:10.2', 'igb', ['eth3'])]);
  assert.deepEqual(lent, []);
  assert.deepEqual(
    uncertain.map(({ about }) => about),
    [[BDF]],
  );
});

test('a function without a driver, of another class, or with a driver that makes no interface is not said to be lent', async () => {
  const nothing = { lent: [], uncertain: [] };
  for (const driver of [undefined, 'vfio-pci', 'mlx5_vfio_pci', 'uio_pci_generic', 'igb_uio', 'pci-stub'])
    assert.deepEqual(await lentOf([fn(BDF, driver)]), nothing, driver);
  assert.deepEqual(await lentOf([fn(BDF, 'mlx4_core', [], 0x020700)]), nothing);
  assert.deepEqual(await lentOf([fn(BDF, 'nvme', [], 0x010802)]), nothing);
});

test('the interface of a virtio function is on the virtio device below it', async () => {
  const at = `/sys/bus/pci/devices/${BDF}/virtio0`;
  const driver: Record<string, Place> = { [`${at}/driver`]: { link: '../../../../bus/virtio/drivers/virtio_net' } };
  const uncertainOf = async (places: Record<string, Place>) =>
    (await lentOf([fn(BDF, 'virtio-pci')], places)).uncertain.map(({ about }) => about);
  assert.deepEqual(await uncertainOf({ ...driver, [`${at}/net/eth0`]: FOLDER }), []);
  assert.deepEqual(await uncertainOf({ ...driver, [`${at}/net`]: FOLDER }), [[BDF]]);
  // Without virtio_net nothing made one.
  assert.deepEqual(await uncertainOf({ [`${at}/features`]: '1\n' }), []);
});
