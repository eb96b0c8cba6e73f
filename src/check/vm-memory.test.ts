import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BDF, fn, pictureOf } from '../../test/pictures.ts';
import { Tree, treeHost } from '../../test/tree-host.ts';
import type { Picture } from '../host/picture.ts';
import { readTexts } from '../host/texts.ts';
import type { Verdict } from './check.ts';
import type { Problem } from './problem.ts';
import { hugepagesShort } from './problems/hugepages-short.ts';
import { numaRemote } from './problems/numa-remote.ts';
import { p2pBarMapWarning } from './problems/p2p-bar-map-warning.ts';
import { ramDiscardConflict } from './problems/ram-discard-conflict.ts';
import type { VmQemu } from './vm.ts';
import { vmOf } from './vm-argv.ts';

const VFIO = `-device vfio-pci,host=${BDF}`;
const NODE = '/sys/devices/system/node';

function judge(problem: Problem, line: string, picture: Picture = pictureOf(), qemu?: VmQemu): Verdict {
  const rule = problem.rules.find((one) => one.about === 'vm');
  assert.ok(rule !== undefined, problem.id);
  return rule.run(vmOf(`qemu-system-x86_64 ${line}`, qemu), picture);
}

const backend = (more: string) => `-object memory-backend-memfd,id=m0,size=4G,hugetlb=on,${more}`;

test('huge pages are counted where the memory is bound, without those that others have reserved', () => {
  const pages = '/sys/kernel/mm/hugepages/hugepages-1048576kB';
  const picture = (free: number, reserved = 0) =>
    pictureOf({
      texts: {
        [`${pages}/free_hugepages`]: `${free}\n`,
        [`${pages}/resv_hugepages`]: `${reserved}\n`,
        [`${NODE}/node0/hugepages/hugepages-1048576kB/free_hugepages`]: '3\n',
        [`${NODE}/node1/hugepages/hugepages-1048576kB/free_hugepages`]: '5\n',
      },
    });
  const short = (more: string, free = 8, reserved = 0) =>
    judge(hugepagesShort, backend(`hugetlbsize=1G${more}`), picture(free, reserved));
  assert.equal(short('').is, 'pass');
  assert.equal(short('', 3).is, 'fail');
  assert.equal(short('', 8, 5).is, 'fail');
  const bound = short(',host-nodes=0,policy=bind');
  assert.equal(bound.is, 'fail');
  assert.match(bound.because, /4 pages of 1048576 kB on node 0 are needed, and 3 are free/);
  assert.equal(short(',host-nodes=1,policy=bind').is, 'pass');
  assert.equal(short(',host-nodes=0-1,policy=bind').is, 'pass');
  assert.equal(short(',host-nodes=7,policy=bind').is, 'unknown');
  assert.equal(judge(hugepagesShort, backend('hugetlbsize=2M'), picture(8)).is, 'unknown');
  assert.equal(judge(hugepagesShort, '-m 4G', picture(8)).is, 'not-applicable');
  // Two pieces take from the same pages.
  const two = judge(hugepagesShort, `${backend('hugetlbsize=1G')} ${backend('hugetlbsize=1G').replace('m0', 'm1')}`, picture(7));
  assert.match(two.because, /8 pages of 1048576 kB are needed, and 7 are free/);
});

test('where no size is given the default of the host counts', () => {
  const picture = pictureOf({
    texts: {
      '/proc/meminfo': 'Hugepagesize:       2048 kB\n',
      '/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages': '2048\n',
    },
  });
  assert.equal(judge(hugepagesShort, '-m 4G -mem-path /dev/hugepages', picture).is, 'pass');
  assert.equal(judge(hugepagesShort, '-m 5G -mem-path /dev/hugepages', picture).is, 'fail');
});

test('huge pages of each node are read of a host that has nodes', async () => {
  const tree = new Tree();
  tree.add(`${NODE}/online`, '0-1\n');
  for (const node of [0, 1]) tree.add(`${NODE}/node${node}/hugepages/hugepages-2048kB/free_hugepages`, `${node + 5}\n`);
  const { texts, folders } = await readTexts(treeHost(tree, { name: 'two nodes' }), '6.12', () => {});
  assert.equal(texts[`${NODE}/node1/hugepages/hugepages-2048kB/free_hugepages`], '6\n');
  assert.deepEqual(folders[NODE], ['node0', 'node1', 'online']);
});

test('numa_node -1 is unknown, not node 0', () => {
  const bound = '-object memory-backend-ram,id=m0,size=4G,host-nodes=0,policy=bind';
  const remote = (node: number | undefined, line = bound, nodes = ['node0', 'node1']) =>
    judge(
      numaRemote,
      `${line} ${VFIO}`,
      pictureOf({ functions: [fn(BDF, node === undefined ? {} : { numaNode: node })], folders: { [NODE]: nodes } }),
    );
  assert.equal(remote(0).is, 'pass');
  assert.equal(remote(1).is, 'fail');
  assert.equal(remote(undefined).is, 'unknown');
  assert.match(remote(undefined).because, /-1 is not node 0/);
  assert.equal(remote(1, '-m 4G').is, 'unknown');
  assert.equal(remote(undefined, '-m 4G', ['node0']).is, 'pass');
});

test('a balloon harms nobody with host devices, but frees nothing', () => {
  assert.equal(judge(ramDiscardConflict, `${VFIO} -device virtio-balloon-pci`).is, 'pass');
  assert.equal(judge(ramDiscardConflict, `${VFIO} -device virtio-balloon-pci,free-page-reporting=on`).is, 'fail');
  assert.equal(judge(ramDiscardConflict, '-device virtio-balloon-pci,free-page-reporting=on').is, 'not-applicable');
  const snp = `-M q35,confidential-guest-support=s -object sev-snp-guest,id=s ${VFIO}`;
  const installed = (version: string): VmQemu => ({ version, devices: {}, absent: {} });
  assert.equal(judge(ramDiscardConflict, snp, pictureOf(), installed('9.1.2')).is, 'fail');
  assert.equal(judge(ramDiscardConflict, snp, pictureOf(), installed('9.2.0')).is, 'pass');
  assert.equal(judge(ramDiscardConflict, snp).is, 'unknown');
});

test('the warning about BARs of others comes with iommufd, not with containers', () => {
  const second = '-device vfio-pci,host=0000:02:00.0';
  assert.equal(judge(p2pBarMapWarning, `${VFIO},iommufd=f ${second},iommufd=f`).is, 'fail');
  assert.equal(judge(p2pBarMapWarning, `${VFIO} ${second}`).is, 'pass');
  assert.equal(judge(p2pBarMapWarning, VFIO).is, 'not-applicable');
});
