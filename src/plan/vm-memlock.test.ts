import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { sharedData } from '../../test/data.ts';
import { pictureOf } from '../../test/pictures.ts';
import { lockedMemory } from '../check/limits/vm-limits.ts';
import { vmOf } from '../check/vm-argv.ts';
import { domainMemlock, readDomain } from '../qemu/domain-xml.ts';

const made = pictureOf();
const picture = { ...made, system: { ...made.system, memory: 2 ** 50 } };
const cases = sharedData('libvirt/xml2argv');
test('of a command line that libvirt wrote the same memory is locked as libvirt allows its domain', {
  skip: cases ? false : 'the collection is not here',
}, () => {
  let compared = 0;
  for (const name of readdirSync(cases!)) {
    if (!/\.x86_64[^.]*.*\.args$/.test(name)) continue;
    const written = vmOf(readFileSync(join(cases!, name), 'utf8'));
    const domain = readDomain(readFileSync(join(cases!, `${name.split('.')[0]}.xml`), 'utf8'));
    // libvirt counts what there is at the start, without what could be plugged.
    const line = { ...written, memory: { ...written.memory, bytes: domain.memory, maximum: domain.memory } };
    // iommufd counts otherwise, and limits of the owner are not on the line.
    if (line.hostDevices.some(({ backend }) => backend === 'iommufd') || domain.hardLimit !== undefined || domain.locked)
      continue;
    const { bytes } = domainMemlock(domain);
    const verdict = lockedMemory({ ...line, memlock: Number(bytes) }, picture);
    assert.equal(verdict.is, bytes === 0 ? 'not-applicable' : 'pass', `${name}: ${verdict.because}, libvirt ${bytes}`);
    if (bytes !== 0) assert.equal(lockedMemory({ ...line, memlock: Number(bytes) - 1 }, picture).is, 'fail', name);
    compared++;
  }
  assert.ok(compared > 20, `${compared}`);
});
