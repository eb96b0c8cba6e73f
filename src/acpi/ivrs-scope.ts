import type { IvhdBlock, IvmdBlock, Ivrs } from './ivrs.ts';

/**
 * The type of the IVHD blocks that the kernel goes by; it does not look at blocks of the others. That is the last type in the
 * table which describes the IOMMU of the first block, before any block of a type above 40h. Undefined when there is no block.
 * Source: get_highest_supported_ivhd_type of Linux 6.12 drivers/iommu/amd/init.c.
 */
export function ivhdTypeOf({ blocks }: Pick<Ivrs, 'blocks'>): IvhdBlock['typeNumber'] | undefined {
  const first = blocks.find((block) => block.type === 'IVHD');
  let type = first?.typeNumber;
  for (const block of blocks) {
    if (block.typeNumber > 0x40) break;
    if (block.type === 'IVHD' && block.deviceId === first?.deviceId) type = block.typeNumber;
  }
  return type;
}

/** The blocks that the kernel goes by: one for each IOMMU. */
export function ivhdsOf(ivrs: Pick<Ivrs, 'blocks'>): IvhdBlock[] {
  const type = ivhdTypeOf(ivrs);
  return ivrs.blocks.filter((block): block is IvhdBlock => block.type === 'IVHD' && block.typeNumber === type);
}

/** Device IDs that a block claims, and the ID that their requests carry when it is another. */
export interface Claim {
  /** Place of the entry in the table. */
  offset: number;
  start: number;
  end: number;
  sourceId?: number;
  atsDisabled?: boolean;
}

/**
 * What the entries of a block claim, in their order: a range is one claim, and the ID that stands for others is one itself.
 * A range that is not ended claims nothing. Source: init_iommu_from_acpi of Linux 6.12 drivers/iommu/amd/init.c.
 */
export function claimsOf(block: Pick<IvhdBlock, 'entries'>): Claim[] {
  const claims: Claim[] = [];
  let open: Claim | undefined;
  for (const one of block.entries) {
    const { offset } = one;
    switch (one.type) {
      case 'all':
        claims.push({ offset, start: 0, end: 0xffff });
        break;
      case 'select':
        claims.push({ offset, start: one.deviceId, end: one.deviceId });
        break;
      case 'extendedSelect':
        claims.push({ offset, start: one.deviceId, end: one.deviceId, atsDisabled: one.atsDisabled });
        break;
      case 'aliasSelect':
        claims.push({ offset, start: one.deviceId, end: one.deviceId, sourceId: one.sourceId });
        claims.push({ offset, start: one.sourceId, end: one.sourceId });
        break;
      case 'start':
        open = { offset, start: one.deviceId, end: one.deviceId };
        break;
      case 'extendedStart':
        open = { offset, start: one.deviceId, end: one.deviceId, atsDisabled: one.atsDisabled };
        break;
      case 'aliasStart':
        open = { offset, start: one.deviceId, end: one.deviceId, sourceId: one.sourceId };
        break;
      case 'end':
        if (open && open.start <= one.deviceId) {
          claims.push({ ...open, end: one.deviceId });
          if (open.sourceId !== undefined) claims.push({ offset: open.offset, start: open.sourceId, end: open.sourceId });
        }
        open = undefined;
        break;
      case 'special':
        claims.push({ offset, start: one.sourceId, end: one.sourceId });
        break;
      case 'acpi':
        claims.push({ offset, start: one.deviceId, end: one.deviceId });
        break;
      case 'pad':
      case 'unknown':
        break;
    }
  }
  return claims;
}

/**
 * The IOMMU that a device ID is behind; undefined when none claims it. When several do, the last one of the table has it, as in
 * the kernel's table.
 *
 * @param sid bus, device and function
 */
export function ivhdOf(ivrs: Pick<Ivrs, 'blocks'>, segment: number, sid: number): IvhdBlock | undefined {
  return ivhdsOf(ivrs).findLast(
    (block) => block.segment === segment && claimsOf(block).some(({ start, end }) => start <= sid && sid <= end),
  );
}

/** The ID that the requests of a device carry: its own, unless an alias entry says otherwise. The last such entry counts. */
export function aliasOf(ivrs: Pick<Ivrs, 'blocks'>, segment: number, sid: number): number {
  const aliases = ivhdsOf(ivrs)
    .filter((block) => block.segment === segment)
    .flatMap((block) => claimsOf(block).filter(({ sourceId }) => sourceId !== undefined));
  return aliases.findLast(({ start, end }) => start <= sid && sid <= end)?.sourceId ?? sid;
}

/** Whether an extended entry tells to block the ATS requests of a device. The last one that has it counts. */
export function atsDisabledFor(ivrs: Pick<Ivrs, 'blocks'>, segment: number, sid: number): boolean {
  const block = ivhdOf(ivrs, segment, sid);
  const claim =
    block && claimsOf(block).findLast(({ start, end, atsDisabled }) => atsDisabled !== undefined && start <= sid && sid <= end);
  return claim?.atsDisabled ?? false;
}

/** Memory blocks that a device needs: those of all devices, of this one, and of a range that it is in. */
export function ivmdsOf({ blocks }: Pick<Ivrs, 'blocks'>, segment: number, sid: number): IvmdBlock[] {
  return blocks.filter((block): block is IvmdBlock => {
    if (block.type !== 'IVMD' || block.segment !== segment) return false;
    if (block.typeNumber === 0x20) return true;
    return block.deviceId <= sid && sid <= (block.typeNumber === 0x22 ? block.auxiliaryData : block.deviceId);
  });
}

/** An I/O APIC or HPET and what its interrupts carry. */
export interface SpecialDevice {
  kind: 'ioapic' | 'hpet';
  /** APIC ID or HPET number. */
  handle: number;
  segment: number;
  sourceId: number;
  /** The IOMMU that names it. */
  iommu: IvhdBlock;
}

/** I/O APICs and HPETs that the blocks in use name. */
export function specialDevicesOf(ivrs: Pick<Ivrs, 'blocks'>): SpecialDevice[] {
  return ivhdsOf(ivrs).flatMap((iommu) =>
    iommu.entries.flatMap((one): SpecialDevice[] => {
      if (one.type !== 'special' || (one.variety !== 1 && one.variety !== 2)) return [];
      const { handle, sourceId } = one;
      return [{ kind: one.variety === 1 ? 'ioapic' : 'hpet', handle, segment: iommu.segment, sourceId, iommu }];
    }),
  );
}
