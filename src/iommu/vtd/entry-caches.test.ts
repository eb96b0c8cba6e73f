import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import * as m from '../../../test/vtd-machine.ts';
import { DEVICE, DOMAIN, GLOBAL, PASID_CACHE_DOMAIN, PASID_CACHE_GLOBAL, PASID_CACHE_PASID } from './granularity.ts';
import { READ } from './translate.ts';

// Context entries and PASID-table entries that are held, and what each granularity of invalidation drops of them. The walks of
// page tables hold nothing here, so that an answer tells which entries it was made of.

const SIDS: readonly number[] = [0x100, 0x101, 0x103, 0x107, 0x108, 0x200];
const REQUEST_PASIDS: readonly number[] = [-1, 5, 70];
/** Roots of second stages, each of which leads to a gigabyte of its own. */
const ROOTS: readonly number[] = [0, 1, 2, 3];
const rootAt = (root: number) => 0x200000 + root * 0x2000;
const CONTEXTS: Readonly<Record<number, number>> = { 1: m.CONTEXT, 2: 0x5000 };
const DIRECTORIES = [0x6000, 0x7000] as const;
/** PASID tables of the first 64 PASIDs and the next, of each directory. */
const pasidTable = (directory: number, pasid: number) => 0x8000 + directory * 0x2000 + (pasid >> 6) * 0x1000;

/** What an entry says; undefined for one that is not present. */
interface Value {
  did: number;
  root: number;
}
const keyOf = ({ did, root }: Value) => did * 16 + root;
const didOf = (key: number) => key >> 4;
const rootOf = (key: number) => key & 15;

function machineOf(pgtt: bigint | undefined, context: number, pasid: number): m.Machine {
  const machine = new m.Machine(pgtt, { caches: { context, pasid, iotlb: 0, firstStage: 0, secondStage: 0 } });
  for (const root of ROOTS) {
    machine.write(rootAt(root), BigInt(rootAt(root) + 0x1000) | 3n);
    machine.write(rootAt(root) + 0x1000, (BigInt(root) << 30n) | 0x83n);
  }
  machine.write(m.ROOT + 32, BigInt(CONTEXTS[2]!) | 1n);
  return machine;
}

/** The root that a request's answer is from, or -1. */
function ask({ unit }: m.Machine, sid: number, pasid = -1): number {
  return unit.translate(sid, 0x1000, 0, READ, pasid) === 0 ? unit.out.lo >>> 30 : -1;
}

const anySid = fc.constantFrom(...SIDS);
const anyValue = fc.option(fc.record({ did: fc.integer({ min: 1, max: 3 }), root: fc.constantFrom(...ROOTS) }), {
  nil: undefined,
  freq: 3,
});
const contextInvalidation = fc.record({
  do: fc.constant('invalidate contexts' as const),
  G: fc.constantFrom(GLOBAL, DOMAIN, DEVICE, DEVICE),
  did: fc.integer({ min: 1, max: 3 }),
  sid: anySid,
  fm: fc.integer({ min: 0, max: 3 }),
});
/** Table 21. */
const masked = (sid: number, fm: number) => sid & ~[0, 4, 6, 7][fm]!;
const anySizes = fc.constantFrom(0, 2, 256);

test('legacy mode: a context entry may be stale until an invalidation of its domain or device, and not after', () => {
  const anyStep = fc.oneof(
    { weight: 4, arbitrary: fc.record({ do: fc.constant('ask' as const), sid: anySid }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('set' as const), sid: anySid, value: anyValue }) },
    contextInvalidation,
  );
  fc.assert(
    fc.property(fc.array(anyStep, { minLength: 20, maxLength: 120 }), anySizes, (steps, size) => {
      const machine = machineOf(undefined, size, size);
      const current = new Map<number, Value | undefined>();
      /** By requester: the entries that may be held. */
      const held = new Map<number, Set<number>>(SIDS.map((sid) => [sid, new Set()]));
      const set = (sid: number, value: Value | undefined) => {
        const at = CONTEXTS[sid >> 8]! + (sid & 0xff) * 16;
        machine.write(at, value ? BigInt(rootAt(value.root)) | 1n : 0n, value ? 2n | (BigInt(value.did) << 8n) : 0n);
        current.set(sid, value);
        if (value) held.get(sid)!.add(keyOf(value));
      };
      for (const sid of SIDS) set(sid, { did: 1, root: 0 });
      for (const step of steps) {
        if (step.do === 'ask') {
          const allowed = [current.get(step.sid)?.root ?? -1, ...[...held.get(step.sid)!].map(rootOf)];
          assert.ok(allowed.includes(ask(machine, step.sid)));
        } else if (step.do === 'set') set(step.sid, step.value);
        else {
          const { G, did, fm } = step;
          machine.unit.caches.invalidateContextCache(G, did, step.sid, fm);
          for (const [sid, keys] of held) {
            if (G === DEVICE && masked(sid, fm) !== masked(step.sid, fm)) continue;
            for (const key of keys) if (G === GLOBAL || didOf(key) === did) keys.delete(key);
            const value = current.get(sid);
            if (value) keys.add(keyOf(value));
          }
        }
      }
    }),
    { numRuns: 300 },
  );
});

test('legacy mode: a context entry whose tables nobody can reach is not held', () => {
  const machine = machineOf(undefined, 256, 256);
  machine.write(m.CONTEXT, BigInt(m.NOWHERE) | 1n);
  assert.equal(ask(machine, m.SID), -1);
  machine.write(m.CONTEXT, BigInt(rootAt(2)) | 1n);
  assert.equal(ask(machine, m.SID), 2);
});

test('scalable mode: entries may be stale until an invalidation of their device, domain or PASID, and not after', () => {
  const anyDirectory = fc.constantFrom(0, 1);
  const anyPasid = fc.constantFrom(...REQUEST_PASIDS);
  const anyStep = fc.oneof(
    { weight: 6, arbitrary: fc.record({ do: fc.constant('ask' as const), sid: anySid, pasid: anyPasid }) },
    fc.record({ do: fc.constant('set context' as const), sid: anySid, directory: fc.option(anyDirectory, { nil: undefined }) }),
    {
      weight: 2,
      arbitrary: fc.record({ do: fc.constant('set' as const), directory: anyDirectory, pasid: anyPasid, value: anyValue }),
    },
    contextInvalidation,
    {
      weight: 2,
      arbitrary: fc.record({
        do: fc.constant('invalidate' as const),
        G: fc.constantFrom(PASID_CACHE_DOMAIN, PASID_CACHE_PASID, PASID_CACHE_PASID, PASID_CACHE_GLOBAL),
        did: fc.integer({ min: 1, max: 3 }),
        pasid: anyPasid,
      }),
    },
  );
  fc.assert(
    fc.property(fc.array(anyStep, { minLength: 20, maxLength: 120 }), anySizes, anySizes, (steps, contexts, pasids) => {
      const machine = machineOf(m.SECOND_STAGE, contexts, pasids);
      for (const directory of [0, 1])
        for (const block of [0, 1])
          machine.write(DIRECTORIES[directory]! + block * 8, BigInt(pasidTable(directory, block * 64)) | 1n);
      const effective = (pasid: number) => Math.max(pasid, 0);
      const entries = [0, 1].map(() => new Map<number, Value | undefined>());
      const current = new Map<number, number | undefined>();
      /** By requester: the directories and, by PASID, the entries that may be held. */
      const directories = new Map<number, Set<number>>(SIDS.map((sid) => [sid, new Set()]));
      const held = new Map(SIDS.map((sid) => [sid, new Map(REQUEST_PASIDS.map((pasid) => [pasid, new Set<number>()]))]));
      /** All that a request may find now may be held. */
      const note = () => {
        for (const [sid, possible] of directories) {
          const directory = current.get(sid);
          if (directory !== undefined) possible.add(directory);
          for (const each of possible)
            for (const [pasid, keys] of held.get(sid)!) {
              const value = entries[each]!.get(pasid);
              if (value) keys.add(keyOf(value));
            }
        }
      };
      const setContext = (sid: number, directory: number | undefined) => {
        const word = directory === undefined ? 0n : BigInt(DIRECTORIES[directory]!) | 0xdn;
        machine.write(CONTEXTS[sid >> 8]! + (sid & 0x7f) * 32, word);
        current.set(sid, directory);
      };
      const set = (directory: number, pasid: number, value: Value | undefined) => {
        const at = pasidTable(directory, effective(pasid)) + (effective(pasid) & 63) * 64;
        machine.write(at, value ? BigInt(rootAt(value.root)) | 0x89n : 0n, BigInt(value?.did ?? 0));
        entries[directory]!.set(pasid, value);
      };
      for (const pasid of REQUEST_PASIDS) for (const directory of [0, 1]) set(directory, pasid, { did: 1, root: directory });
      for (const sid of SIDS) setContext(sid, 0);
      note();
      for (const step of steps) {
        if (step.do === 'ask') {
          const { sid, pasid } = step;
          const directory = current.get(sid);
          const fresh = directory === undefined ? undefined : entries[directory]!.get(pasid);
          const allowed = [fresh?.root ?? -1];
          for (const each of directories.get(sid)!) allowed.push(entries[each]!.get(pasid)?.root ?? -1);
          // An entry counts as long as there is a context entry that leads to any.
          if (directories.get(sid)!.size > 0 || directory !== undefined)
            allowed.push(...[...held.get(sid)!.get(pasid)!].map(rootOf));
          assert.ok(allowed.includes(ask(machine, sid, pasid)));
        } else if (step.do === 'set context') setContext(step.sid, step.directory);
        else if (step.do === 'set') set(step.directory, step.pasid, step.value);
        else if (step.do === 'invalidate contexts') {
          // The domain does not count in this mode.
          machine.unit.caches.invalidateContextCache(step.G, step.did, step.sid, step.fm);
          for (const [sid, possible] of directories)
            if (step.G !== DEVICE || masked(sid, step.fm) === masked(step.sid, step.fm)) possible.clear();
        } else {
          machine.unit.caches.invalidatePasidCache(step.G, step.did, effective(step.pasid));
          for (const byPasid of held.values())
            for (const [pasid, keys] of byPasid)
              for (const key of keys)
                if (
                  step.G === PASID_CACHE_GLOBAL ||
                  (didOf(key) === step.did && (step.G === PASID_CACHE_DOMAIN || pasid === step.pasid))
                )
                  keys.delete(key);
        }
        note();
      }
    }),
    { numRuns: 300 },
  );
});
