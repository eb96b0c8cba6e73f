import { buildIvrs, type IvhdEntry, type IvrsBlock, IvrsFields, readIvrs } from '../../src/acpi/index.ts';
import { headerAsIasl, hex16, tableSet } from './acpi.ts';

/** IVRS tables of real machines against iasl. */
export const acpiIvrs = tableSet('ivrs', (bytes) => {
  const ivrs = readIvrs(bytes);
  if (!ivrs) return undefined;
  const { EFRSup, DmaRemapSup, GVASize, PASize, VASize, HtAtsResv, reserved } = ivrs;
  const ivInfo = IvrsFields.encode({
    ...reserved,
    EFRSup: Number(EFRSup),
    DmaRemapSup: Number(DmaRemapSup),
    GVASize,
    PASize,
    VASize,
    HtAtsResv: Number(HtAtsResv),
  });
  return {
    header: headerAsIasl(ivrs.header),
    iasl: {
      ivInfo: `0x${Buffer.from(ivInfo.subarray(0, 4)).reverse().toString('hex').toUpperCase()}`,
      // A block that iasl does not know is none of its blocks.
      blocks: ivrs.blocks.filter(({ type }) => type !== 'unknown').map(blockAsIasl),
    },
    findings: ivrs.findings,
    rebuilt: buildIvrs(ivrs),
  };
});

function blockAsIasl(block: IvrsBlock): { [field: string]: unknown } {
  const { offset, length, typeNumber: type, flags } = block;
  const common = { offset, length, type, flags };
  if (block.type === 'IVMD') {
    const { deviceId: deviceid, auxiliaryData, base, memoryLength } = block;
    return { ...common, deviceid, auxiliaryData, startAddress: hex16(base), memoryLength: hex16(memoryLength) };
  }
  if (block.type === 'unknown') return common;
  const { deviceId: deviceid, capabilityOffset, base, segment, info, features, efr } = block;
  return {
    ...common,
    deviceid,
    capabilityOffset,
    baseAddress: hex16(base),
    pciSegmentGroup: segment,
    virtualizationInfo: info,
    ...(efr === undefined ? { featureReporting: features } : { attributes: features, efrImage: hex16(efr) }),
    entries: block.entries.map(entryAsIasl),
  };
}

const TYPES = { pad: 0, all: 1, select: 2, start: 3, end: 4, aliasSelect: 0x42, aliasStart: 0x43, extendedSelect: 0x46 };
const MORE = { extendedStart: 0x47, special: 0x48, acpi: 0xf0 };

function entryAsIasl(one: IvhdEntry): { [field: string]: unknown } {
  if (one.type === 'unknown') return { offset: one.offset, type: one.typeNumber };
  const { offset, deviceId, dteSetting: dataSetting } = one;
  const common = { offset, type: { ...TYPES, ...MORE }[one.type], deviceId, dataSetting };
  if (one.type === 'aliasSelect' || one.type === 'aliasStart') return { ...common, sourceUsedDeviceId: one.sourceId };
  if (one.type === 'special') return { ...common, sourceUsedDeviceId: one.sourceId, handle: one.handle, variety: one.variety };
  if (one.type !== 'acpi') return common;
  const { hid, cid, uidFormat, uid } = one;
  const text = Buffer.from(uid).toString('latin1').replace(/\0+$/, '');
  return {
    ...common,
    acpiHid: `"${hid}"`,
    acpiCid: cid.every((byte) => byte === 0) ? '0x0000000000000000' : cidAsIasl(cid),
    ...(uidFormat === 0 ? {} : { uidFormat, uidLength: uid.length }),
    ...(uidFormat === 2 ? { uid: `"${text}"` } : {}),
  };
}

/** A compatible ID that is not text is a number. */
function cidAsIasl(cid: Uint8Array): string {
  const text = Buffer.from(cid).toString('latin1').replace(/\0+$/, '');
  return /^[\x20-\x7e]+$/.test(text) ? `"${text}"` : `0x${Buffer.from(cid).reverse().toString('hex').toUpperCase()}`;
}
