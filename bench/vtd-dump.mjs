// Listing all mappings of 4 GiB of 4-KiB pages, as the C programs dump them.

/** As C does it: a number of times, the least of which counts. */
const RUNS = 20;
const PAGES = 2 ** 20;
export const DUMP_LIMIT = 1.2;

/**
 * @param secondStage frame of the root table
 * @returns CPU time for one mapping in ns, and the checksum of the listing
 */
export async function dump(memory, model, secondStage) {
  const { abilitiesOf } = await import('../dist/src/iommu/vtd/abilities.js');
  const { AddressSpace, SECOND_STAGE } = await import('../dist/src/iommu/vtd/address-space.js');
  const { MappingReader, Mappings } = await import('../dist/src/iommu/vtd/mappings.js');
  const can = abilitiesOf(model);
  const space = Object.assign(new AddressSpace(), {
    type: SECOND_STAGE,
    ssLo: secondStage << 12,
    ssHi: secondStage >>> 20,
    ssLevels: 4,
    ssBeyond: can.beyondWidth[2],
    ssReservedHi: can.ssReservedHi,
  });
  const reader = new MappingReader(memory, can);
  const out = new Mappings(PAGES);
  let ns = Number.POSITIVE_INFINITY;
  for (let run = 0; run <= RUNS; run++) {
    const { user, system } = process.cpuUsage();
    reader.read(space, 0, PAGES, out);
    const used = process.cpuUsage();
    if (run > 0) ns = Math.min(ns, ((used.user + used.system - user - system) * 1000) / PAGES);
  }
  let checksum = out.count | 0;
  for (let i = 0; i < out.count; i += 4097)
    checksum = (Math.imul(checksum, 31) + ((out.lo(i) >>> 12) | (out.hi(i) << 20)) + out.iova(i)) | 0;
  return { ns, checksum: checksum >>> 0 };
}
