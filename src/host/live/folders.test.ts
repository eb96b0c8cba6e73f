import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { bigTree, writeTree } from '../../../test/big-tree.ts';
import { type FolderAsk, type FolderBatch, type FolderContent, readFolder } from '../folder.ts';
import { readPicture } from '../picture.ts';
import { type FolderCalls, NodeCalls } from './folder-calls.ts';
import { libcCalls } from './folder-libc.ts';
import { FolderReader } from './folder-reader.ts';
import { folderReading } from './folders.ts';
import { liveHost } from './index.ts';
import { rootAt } from './root.ts';

const made: string[] = [];
function folder(): string {
  // In memory where that can be: thousands of files are written.
  const at = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'sluice-folders-'));
  made.push(at);
  return at;
}
after(() => {
  for (const at of made) rmSync(at, { recursive: true, force: true });
});

const ASK: FolderAsk = {
  isLink: true,
  listed: true,
  texts: ['name', 'absent'],
  mayWait: [],
  bytes: { name: 'config', length: 8 },
  links: ['driver'],
  numbered: 'virtfn',
  lists: ['net'],
  noted: ['iommu'],
};

/** What differs between an array of this machine and a view of another: nothing that anybody reads. */
const plain = (content: FolderContent | undefined) => content && { ...content, bytes: content.bytes && [...content.bytes] };

/** The calls of Node, and those of the C library where there is koffi. */
const calls = new Map<string, FolderCalls>([['Node', new NodeCalls()]]);
const libc = await libcCalls();
if (libc !== undefined) calls.set('the C library', libc);

/** A tree of one device `/dev/x` that `/bus/x` leads to. */
function deviceTree(): string {
  const tree = folder();
  for (const name of ['eth0', 'ethé']) mkdirSync(join(tree, 'dev/x/net', name), { recursive: true });
  mkdirSync(join(tree, 'bus'));
  symlinkSync('../dev/x', join(tree, 'bus/x'));
  writeFileSync(join(tree, 'dev/x/name'), 'hällo\n');
  writeFileSync(join(tree, 'dev/x/config'), '0123456789');
  symlinkSync('../../drivers/nvme', join(tree, 'dev/x/driver'));
  for (const n of [10, 2, 0]) symlinkSync(`../vf${n}`, join(tree, `dev/x/virtfn${n}`));
  symlinkSync('../../units/dmar0', join(tree, 'dev/x/iommu'));
  return tree;
}

for (const [whose, how] of calls) {
  const read = (tree: string, path = '/bus/x', ask = ASK) => new FolderReader(rootAt(tree), ask, how).read(path);

  test(`a folder is read at once as it is when it is asked for in detail (${whose})`, async () => {
    const tree = deviceTree();
    const found = plain(read(tree));
    assert.deepEqual(found, plain(await readFolder(liveHost({ root: tree }), '/bus/x', ASK)));
    assert.deepEqual(found, {
      target: '../dev/x',
      texts: ['hällo\n', undefined],
      bytes: [...Buffer.from('01234567')],
      links: ['../../drivers/nvme'],
      numbered: ['../vf0', '../vf2', '../vf10'],
      lists: [['eth0', 'ethé']],
      noted: ['iommu'],
      unrecorded: [],
      unanswered: [],
    });
  });

  test(`a folder of thousands of entries is read whole, and so are several in a row (${whose})`, () => {
    const tree = deviceTree();
    const names = Array.from({ length: 3000 }, (_, n) => `a-rather-long-name-of-an-interface-${n}`);
    for (const name of names) {
      mkdirSync(join(tree, 'dev/x/net', name));
      writeFileSync(join(tree, 'dev/x', name), '');
    }
    mkdirSync(join(tree, 'dev/y'));
    symlinkSync('../dev/y', join(tree, 'bus/y'));
    writeFileSync(join(tree, 'dev/y/name'), '');
    const reader = new FolderReader(rootAt(tree), ASK, how);
    assert.deepEqual(reader.read('/bus/x')?.lists, [['eth0', 'ethé', ...names].sort()]);
    assert.deepEqual(reader.read('/bus/y')?.texts, ['', undefined]);
    assert.deepEqual(reader.read('/bus/x')?.texts, ['hällo\n', undefined]);
  });

  test(`a folder in which something is not what it should be is left to be asked for in detail (${whose})`, () => {
    const leadTo = (at: string, target: string): void => {
      rmSync(join(at, '../../bus/x'));
      symlinkSync(target, join(at, '../../bus/x'));
    };
    const odd: Record<string, (at: string) => void> = {
      'a pipe for an attribute': (at) => {
        rmSync(join(at, 'name'));
        execFileSync('mkfifo', [join(at, 'name')]);
      },
      'a link out of the tree': (at) => {
        rmSync(join(at, 'name'));
        symlinkSync('/etc/hostname', join(at, 'name'));
      },
      'a link for a folder': (at) => {
        rmSync(join(at, 'net'), { recursive: true });
        symlinkSync('/etc', join(at, 'net'));
      },
      'a folder for an attribute': (at) => {
        rmSync(join(at, 'name'));
        mkdirSync(join(at, 'name'));
      },
      'a folder for a link': (at) => {
        rmSync(join(at, 'driver'));
        mkdirSync(join(at, 'driver'));
      },
      'an attribute without end': (at) => truncateSync(join(at, 'name'), 2 ** 33),
      'a folder that is not there': (at) => rmSync(at, { recursive: true }),
      'a folder that is a link out of the tree': (at) => {
        rmSync(at, { recursive: true });
        symlinkSync('/etc', at);
      },
      'a link that ends in no name': (at) => leadTo(at, '../dev/x/.'),
      'a link to above the root': (at) => leadTo(at, '../..'),
      'a link with a whole path': (at) => leadTo(at, at),
    };
    for (const [name, change] of Object.entries(odd)) {
      const tree = deviceTree();
      change(join(tree, 'dev/x'));
      for (const listed of [true, false]) {
        const ask = listed ? ASK : { ...ASK, listed, texts: ['name'], numbered: '', noted: [] };
        assert.equal(read(tree, '/bus/x', ask), undefined, name);
      }
    }
  });

  test(`what is not below the root is not read: a path of one name, or one that is a link itself (${whose})`, () => {
    const tree = deviceTree();
    const ask = { ...ASK, isLink: false, listed: false, texts: [], links: [], lists: [], noted: [] };
    assert.notEqual(read(tree, '/dev/x', ask), undefined);
    for (const path of ['/etc', '/dev/..', '/dev/', '/bus/x', '/../etc']) assert.equal(read(tree, path, ask), undefined, path);
  });
}

test('two threads read what one reads, and a host that reads nothing at once gives the same picture', async () => {
  const tree = folder();
  writeTree(tree, bigTree(300));
  const one = liveHost({ root: tree });
  const files = { ...one.files };
  delete files.readFolders;
  const picture = await readPicture({ ...one, files });
  assert.equal(picture.functions.length, 300);
  assert.deepEqual(await readPicture(one), picture);
  const two = folderReading(rootAt(tree), 100);
  assert.deepEqual(await readPicture({ ...one, files: { ...files, readFolders: two } }), picture);

  // As when the other thread failed: some batches never come, others have gaps.
  async function* gaps(paths: readonly string[], ask: FolderAsk): AsyncGenerator<FolderBatch> {
    let n = 0;
    for await (const { first, contents } of two(paths, ask))
      if (n++ % 3 !== 0) yield { first, contents: contents.map((content, i) => (i % 5 === 0 ? undefined : content)) };
  }
  assert.deepEqual(await readPicture({ ...one, files: { ...files, readFolders: gaps } }), picture);
});
