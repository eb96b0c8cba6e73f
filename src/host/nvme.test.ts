import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Tree, treeHost } from '../../test/tree-host.ts';
import { CNS, IdentifyController, PrimaryControllerCapabilities, SecondaryControllerEntry } from '../nvme/index.ts';
import { type Host, HostError, type NvmeCommand } from './host.ts';
import { manageSecondary, namespacesOf, readNvmeVirtualization, readSecondaries } from './nvme.ts';

/** A controller with secondary controllers of these identifiers, which it lists from the asked one on, 127 at a time. */
function controller(scids: readonly number[], more: { manages?: boolean; status?: (command: NvmeCommand) => number } = {}) {
  const asked: NvmeCommand[] = [];
  const host: Host = treeHost(new Tree(), {
    nvme: {
      admin: async (_, command) => {
        asked.push(command);
        const status = more.status?.(command) ?? 0;
        return { status, result: 0, data: status === 0 ? answer(command) : new Uint8Array() };
      },
    },
  });
  const answer = ({ cdw10 = 0, dataLength = 0 }: NvmeCommand): Uint8Array => {
    const data = new Uint8Array(dataLength);
    if ((cdw10 & 0xff) === CNS.controller) {
      const bytes = IdentifyController.encode({ CNTLID: 3, VirtualizationManagement: more.manages === false ? 0 : 1 });
      data.set(bytes.subarray(0, dataLength));
    }
    if ((cdw10 & 0xff) === CNS.primaryCapabilities)
      data.set(PrimaryControllerCapabilities.encode({ VQFRT: 14, VQRFAP: 2, VQFRSM: 5, VIFRT: 7 }));
    if ((cdw10 & 0xff) === CNS.secondaryControllers) {
      const list = scids.filter((scid) => scid >= cdw10 >>> 16).slice(0, 127);
      data[0] = list.length;
      for (const [i, scid] of list.entries())
        data.set(
          SecondaryControllerEntry.encode({ SCID: scid, PCID: 3, Online: scid & 1, VFN: i + 1, NVQ: 2, NVI: 1 }),
          32 + i * 32,
        );
    }
    return data;
  };
  return { host, asked };
}

test('a primary controller tells what it can give, and to whom', async () => {
  const { host, asked } = controller([5, 6]);
  assert.deepEqual(await readNvmeVirtualization(host, 'nvme0'), {
    flexible: { vq: 12, vi: 7 },
    most: { vq: 5, vi: 7 },
    secondaries: [
      { scid: 5, pcid: 3, online: true, vf: 0, vq: 2, vi: 1 },
      { scid: 6, pcid: 3, online: false, vf: 1, vq: 2, vi: 1 },
    ],
    namespaces: [],
  });
  // Its own capabilities are asked for by its own identifier.
  assert.deepEqual(
    asked.map(({ opcode, cdw10 = 0 }) => [opcode, cdw10 & 0xff, cdw10 >>> 16]),
    [
      [6, CNS.controller, 0],
      [6, CNS.primaryCapabilities, 3],
      [6, CNS.secondaryControllers, 0],
    ],
  );
});

test('a controller that does not say that it has Virtualization Management has it when it lists secondary controllers', async () => {
  const { host } = controller([1], { manages: false });
  assert.deepEqual(
    (await readNvmeVirtualization(host, 'nvme0'))?.secondaries.map(({ scid }) => scid),
    [1],
  );
  const none = controller([], { manages: false });
  assert.equal(await readNvmeVirtualization(none.host, 'nvme0'), undefined);
  const INVALID_FIELD = 0x4002;
  const refuses = ({ cdw10 = 0 }: NvmeCommand) => ((cdw10 & 0xff) === CNS.controller ? 0 : INVALID_FIELD);
  assert.equal(await readNvmeVirtualization(controller([1], { manages: false, status: refuses }).host, 'nvme0'), undefined);
  await assert.rejects(readNvmeVirtualization(controller([1], { status: refuses }).host, 'nvme0'), HostError);
});

for (const count of [0, 1, 126, 127, 128, 254, 300])
  test(`${count} secondary controllers are all found, each once`, async () => {
    const scids = Array.from({ length: count }, (_, i) => i + 4);
    const { host, asked } = controller(scids);
    assert.deepEqual(
      (await readSecondaries(host, '/dev/nvme0')).map(({ scid }) => scid),
      scids,
    );
    assert.equal(asked.length, Math.floor(count / 127) + 1);
  });

test('a controller that gives the same full list for ever does not keep us', async () => {
  const same = Array.from({ length: 127 }, (_, i) => i + 1);
  const { host } = controller(same);
  const stuck: Host = {
    ...host,
    nvme: { admin: (at, command) => host.nvme.admin(at, { ...command, cdw10: CNS.secondaryControllers }) },
  };
  assert.equal((await readSecondaries(stuck, '/dev/nvme0')).length, 127);
});

test('a refusal is an error with what the controller answered', async () => {
  const { host } = controller([], { status: () => 0x120 });
  await assert.rejects(
    manageSecondary(host, '/dev/nvme0', 'secondaryOnline', 1),
    (error) =>
      error instanceof HostError && /\/dev\/nvme0: .*Invalid Secondary Controller State.*0x120.*0x1c/.test(error.message),
  );
});

test('an answer that is too short is an error', async () => {
  const { host } = controller([]);
  const short: Host = { ...host, nvme: { admin: async () => ({ status: 0, result: 0, data: new Uint8Array(10) }) } };
  await assert.rejects(readNvmeVirtualization(short, 'nvme0'), /Identify gave too little/);
});

test('namespaces have their block devices, with multipath as well', async () => {
  const at = '/sys/class/nvme/nvme0';
  const host = treeHost(
    new Tree({
      [`${at}/nvme0n1/nsid`]: '1\n',
      [`${at}/nvme0c0n2/nsid`]: '7\n',
      [`${at}/nvme0n3/size`]: '8\n',
      [`${at}/ng0n1/nsid`]: '1\n',
      [`${at}/model`]: 'QEMU\n',
    }),
  );
  assert.deepEqual(await namespacesOf(host, 'nvme0'), [
    { nsid: 7, device: '/dev/nvme0n2' },
    { nsid: 1, device: '/dev/nvme0n1' },
  ]);
  assert.deepEqual(await namespacesOf(host, 'nvme9'), []);
});
