import assert from 'node:assert/strict';
import { test } from 'node:test';
import { capturedHost } from '../../test/captured-host.ts';
import { captures, tellCaptures } from '../../test/captures.ts';
import { OPEN_FILES, type Picture, readPicture } from '../host/picture.ts';
import type { Verdict } from './check.ts';
import { PROBLEMS } from './problems/index.ts';

const found = captures();

/** The same host as somebody else than root sees it: headers of configuration space, zeros for addresses, no log, no tables. */
function withoutPrivilege(picture: Picture): Picture {
  const { log: _, ...rest } = picture;
  return {
    ...rest,
    system: { ...picture.system, uid: 1000 },
    functions: picture.functions.map((one) => (one.config === undefined ? one : { ...one, config: one.config.slice(0, 64) })),
    firmwareTables: [],
    platformTables: [],
    unread: [
      ...picture.unread,
      { what: OPEN_FILES, because: 'not root' },
      ...[...picture.firmwareTables, ...picture.platformTables].map(({ signature }) => ({
        what: `/sys/firmware/acpi/tables/${signature}`,
        because: 'cannot read (EACCES)',
      })),
    ],
    texts: {
      ...picture.texts,
      '/proc/iomem': (picture.texts['/proc/iomem'] ?? '').replace(/[0-9a-f]+-[0-9a-f]+ :/g, '00000000-00000000 :'),
    },
  };
}

test(`who may read less knows less, and never the opposite (${tellCaptures(found)})`, async () => {
  let open = 0;
  for (const capture of found.all) {
    const picture = await readPicture(capturedHost(capture, capture.states.at(-1)!));
    const less = withoutPrivilege(picture);
    const compare = (id: string, whole: Verdict, part: Verdict, bdf = '') => {
      if (part.is === whole.is) return;
      assert.equal(part.is, 'unknown', `${capture.name} ${id} ${bdf}: ${whole.because} / ${part.because}`);
      open++;
    };
    for (const { id, rules } of PROBLEMS)
      for (const rule of rules) {
        if (rule.about === 'host') compare(id, rule.run(picture), rule.run(less));
        if (rule.about === 'function')
          for (const [i, one] of picture.functions.entries())
            compare(id, rule.run(picture, one), rule.run(less, less.functions[i]!), one.bdf);
      }
  }
  assert.ok(open > 0);
});

test('of a host of which nothing could be read nothing is claimed', () => {
  const nothing: Picture = {
    host: 'nothing',
    system: { kernel: '', cmdline: '', bootId: '', uid: -1, guest: false, memory: 0, modules: [] },
    firmwareTables: [],
    platformTables: [],
    units: [],
    groups: [],
    functions: [],
    links: [],
    nvme: {},
    usage: [],
    kvm: { usable: false, because: '' },
    texts: {},
    folders: {},
    parameters: {},
    unread: [{ what: '/sys/kernel/iommu_groups', because: 'not recorded' }],
  };
  for (const { id, rules } of PROBLEMS)
    for (const rule of rules) if (rule.about === 'host') assert.notEqual(rule.run(nothing).is, 'fail', id);
});
