import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Member, withFolders, writeCpio } from './cpio.ts';

/** A reader written from the format's description alone: 6 characters of magic, 13 fields of 8 hex digits, name, content. */
function read(archive: Uint8Array): { name: string; mode: number; links: number; content: Buffer }[] {
  const bytes = Buffer.from(archive);
  const found = [];
  for (let at = 0; ; ) {
    assert.equal(at % 4, 0);
    assert.equal(bytes.toString('latin1', at, at + 6), '070701');
    const field = (index: number) => Number.parseInt(bytes.toString('latin1', at + 6 + index * 8, at + 14 + index * 8), 16);
    const [mode, links, size, nameSize] = [field(1), field(4), field(6), field(11)];
    assert.equal(bytes[at + 110 + nameSize - 1], 0);
    const name = bytes.toString('utf8', at + 110, at + 110 + nameSize - 1);
    const start = Math.ceil((at + 110 + nameSize) / 4) * 4;
    if (name === 'TRAILER!!!') {
      assert.equal(start, bytes.length);
      return found;
    }
    found.push({ name, mode, links, content: bytes.subarray(start, start + size) });
    at = Math.ceil((start + size) / 4) * 4;
  }
}

const name = fc.stringMatching(/^[a-z]{1,9}$/);
const path = fc.array(name, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('/'));
const member: fc.Arbitrary<Member> = fc.oneof(
  fc.record({ path, mode: fc.integer({ min: 0, max: 0o777 }), content: fc.uint8Array({ maxLength: 40 }) }),
  fc.record({ path, mode: fc.constant(0o777), target: fc.string({ minLength: 1, unit: 'grapheme' }) }),
  fc.record({ path, mode: fc.integer({ min: 0, max: 0o777 }) }),
);

test('an archive reads back as what was put in, whatever the lengths', () => {
  fc.assert(
    fc.property(fc.array(member), (members) => {
      const back = read(writeCpio(members));
      assert.equal(back.length, members.length);
      for (const [index, { path, mode, content, target }] of members.entries()) {
        const kind = target !== undefined ? 0o120000 : content !== undefined ? 0o100000 : 0o040000;
        const body = target !== undefined ? Buffer.from(target) : Buffer.from(content ?? []);
        assert.equal(back[index]!.name, path);
        assert.equal(back[index]!.mode, kind | (target === undefined ? mode : 0o777));
        assert.ok(back[index]!.content.equals(body));
      }
    }),
  );
});

test('equal members give equal bytes', () => {
  const members: Member[] = [{ path: 'init', mode: 0o755, content: new Uint8Array([1, 2, 3]) }];
  assert.deepEqual(writeCpio(members), writeCpio(structuredClone(members)));
});

test('every folder comes once and before what is in it', () => {
  fc.assert(
    fc.property(fc.array(member), (members) => {
      const folders = new Set<string>();
      for (const { path, content, target } of withFolders(members)) {
        const parent = path.split('/').slice(0, -1).join('/');
        assert.ok(parent === '' || folders.has(parent), `${parent} before ${path}`);
        if (content !== undefined || target !== undefined) continue;
        assert.ok(!folders.has(path), `${path} once`);
        folders.add(path);
      }
    }),
  );
});
