// Tables as the C programs build them: the same frames in the same order, so that every result can be compared.

const GOLDEN = 0x9e3779b1;

/** The host frame behind a guest frame, and the guest frame behind a virtual one. */
const hostFrame = (frame) => Math.imul(frame, GOLDEN) & 0x1ffffff;
const guestFrame = (frame) => Math.imul(frame, 0xc2b2ae35) & 0xffffff;

export const BUILT = { memoryBytes: 2 ** 38, legacySid: 0x100, scalableSid: 0x200 };

/**
 * Second-stage tables for the first 64 GiB, all of it mapped 4 KiB by 4 KiB, and first-stage tables of as much over them.
 * Requester 01:00.0 has the second stage in legacy mode, 02:00.0 both stages in scalable mode.
 *
 * @param pages how much both map, when it shall be less than 64 GiB
 * @param at4GiB called once the first 4 GiB of the second stage are mapped, and nothing else
 * @returns values for RTADDR_REG (without TTM) of either mode, and the roots of the stages
 */
export function buildTables(memory, pages = 2 ** 24, at4GiB = () => {}) {
  let hostTables = 0;
  let guestTables = 0;
  const newHostTable = () => 2 ** 25 + (Math.imul(hostTables++, 0x85ebca6b) & 0x1ffff);
  const newGuestTable = () => 2 ** 24 + guestTables++;
  // Frame numbers have up to 26 bits: the low half of an address takes 20 of them.
  const wordAt = (frame, byte) => memory.touch((frame << 12) | byte, frame >>> 20);
  const write = (frame, byte, target, flags) => {
    const at = wordAt(frame, byte);
    memory.words[at] = (target << 12) | flags;
    memory.words[at + 1] = target >>> 20;
  };
  /** One stage: 4 levels, leaves of 4 KiB. `place` is where a table is in memory. */
  const map = (rootFrame, page, target, leafFlags, tableFlags, newTable, place) => {
    let table = rootFrame;
    for (let level = 4; level > 1; level--) {
      const byte = (Math.floor(page / 512 ** (level - 1)) & 511) * 8;
      const at = wordAt(place(table), byte);
      if (memory.words[at] & 1) {
        table = (memory.words[at] >>> 12) | (memory.words[at + 1] << 20);
        continue;
      }
      const next = newTable();
      write(place(table), byte, next, tableFlags);
      table = next;
    }
    write(place(table), (page & 511) * 8, target, leafFlags);
  };
  const same = (frame) => frame;
  const secondStage = newHostTable();
  const firstStage = newGuestTable();
  for (let page = 0; page < pages + 2 ** 16; page++) {
    map(secondStage, page, hostFrame(page), 3, 3, newHostTable, same);
    if (page === 2 ** 20 - 1) at4GiB();
  }
  for (let page = 0; page < pages; page++) map(firstStage, page, guestFrame(page), 0x67, 0x27, newGuestTable, hostFrame);

  const [legacyRoot, context] = [newHostTable(), newHostTable()];
  write(legacyRoot, 16, context, 1);
  write(context, 0, secondStage, 1);
  write(context, 8, 0, 2 | (1 << 8));
  const [scalableRoot, scalableContext, directory, pasids] = Array.from({ length: 4 }, newHostTable);
  write(scalableRoot, 32, scalableContext, 1);
  write(scalableContext, 0, directory, 1);
  write(directory, 0, pasids, 1);
  write(pasids, 0, secondStage, 1 | (2 << 2) | (3 << 6));
  write(pasids, 8, 0, 2);
  write(pasids, 16, firstStage, 0);
  const register = (frame) => BigInt(frame) << 12n;
  return { legacyRoot: register(legacyRoot), scalableRoot: register(scalableRoot), secondStage, firstStage };
}

/**
 * Where the tables lead, with no regard to anything but addresses.
 *
 * @param tables what `buildTables` returned, and the memory
 * @returns the output address, as two int32 halves
 */
export function translated({ memory, secondStage, firstStage }, nested, page, offset) {
  const walk = (root, frame, place) => {
    let table = root;
    for (let level = 4; level > 0; level--) {
      const host = place(table);
      const byte = (Math.floor(frame / 512 ** (level - 1)) & 511) * 8;
      const at = memory.locate((host << 12) | byte, host >>> 20);
      table = (memory.words[at] >>> 12) | ((memory.words[at + 1] & 0xfffff) << 20);
    }
    return table;
  };
  const inSecondStage = (frame) => walk(secondStage, frame, (table) => table);
  const frame = inSecondStage(nested ? walk(firstStage, page, inSecondStage) : page);
  return [(frame << 12) | offset, frame >>> 20];
}
