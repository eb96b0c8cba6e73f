import * as z from 'zod/mini';
import type { Dmar, Ivrs, Mcfg, TableFinding, Viot } from '../acpi/index.ts';

/** As `--json` prints it: large numbers are `0x` and hexadecimal digits, bytes are hexadecimal digits. */
export type Printed<T> = T extends bigint | Uint8Array
  ? string
  : T extends readonly (infer E)[]
    ? Printed<E>[]
    : T extends object
      ? { [K in keyof T]: Printed<T[K]> }
      : T;

/** One structure of a table in words. */
export interface TableLine {
  /** Bytes from the start of the table. */
  offset: number;
  /** What the specification calls it. */
  name: string;
  says: string[];
}

interface Report<S extends string, T extends { findings: unknown }> {
  schema: S;
  /** Where the bytes are from. */
  file: string;
  bytes: number;
  /** What the table is for as a whole. */
  says: string[];
  lines: TableLine[];
  /** Every field. */
  table: Omit<T, 'findings'>;
  findings: TableFinding[];
}

export type DmarReport = Report<'sluice/decode-dmar/1', Dmar>;
export type IvrsReport = Report<'sluice/decode-ivrs/1', Ivrs>;
export type McfgReport = Report<'sluice/decode-mcfg/1', Mcfg>;
export type ViotReport = Report<'sluice/decode-viot/1', Viot>;
export type TableReport = DmarReport | IvrsReport | McfgReport | ViotReport;

const address = z.string().check(z.regex(/^0x[0-9a-f]+$/));
const bytes = z.string().check(z.regex(/^([0-9a-f]{2})*$/));
const reserved = z.optional(z.record(z.string(), z.union([z.number(), z.string()])));
const place = { offset: z.int(), length: z.int(), reserved, rest: z.optional(bytes) };

const header = z.strictObject({
  Signature: z.string(),
  Length: z.int(),
  Revision: z.int(),
  Checksum: z.int(),
  OEMID: z.string(),
  OEMTableID: z.string(),
  OEMRevision: z.int(),
  CreatorID: z.string(),
  CreatorRevision: z.int(),
});

/** What every report of a table has around its fields. */
function around<S extends string, T extends z.ZodMiniType>(schema: S, table: T) {
  return z.strictObject({
    schema: z.literal(schema),
    file: z.string(),
    bytes: z.int(),
    says: z.array(z.string()),
    lines: z.array(z.strictObject({ offset: z.int(), name: z.string(), says: z.array(z.string()) })),
    table,
    findings: z.array(z.strictObject({ offset: z.int(), is: z.enum(['broken', 'odd']), says: z.string() })),
  });
}

const scopes = z.array(
  z.strictObject({
    offset: z.int(),
    length: z.int(),
    type: z.optional(z.enum(['endpoint', 'bridge', 'ioapic', 'hpet', 'acpi'])),
    typeNumber: z.int(),
    enumerationId: z.int(),
    startBus: z.int(),
    path: z.array(z.strictObject({ device: z.int(), function: z.int() })),
    flags: z.int(),
    reserved: z.optional(z.int()),
  }),
);
const segment = z.int();
const dmarStructure = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('DRHD'),
    ...place,
    includePciAll: z.boolean(),
    registerBytes: z.int(),
    segment,
    registerBase: address,
    scopes,
  }),
  z.strictObject({ type: z.literal('RMRR'), ...place, segment, base: address, limit: address, scopes }),
  z.strictObject({ type: z.literal('ATSR'), ...place, allPorts: z.boolean(), segment, scopes }),
  z.strictObject({ type: z.literal('RHSA'), ...place, registerBase: address, proximityDomain: z.int() }),
  z.strictObject({ type: z.literal('ANDD'), ...place, deviceNumber: z.int(), deviceName: z.string() }),
  z.strictObject({ type: z.literal('SATC'), ...place, atcRequired: z.boolean(), segment, scopes }),
  z.strictObject({ type: z.literal('SIDP'), ...place, segment, scopes }),
  z.strictObject({ type: z.literal('unknown'), ...place, typeNumber: z.int(), data: bytes }),
]);
export const dmarReport: z.ZodMiniType<Printed<DmarReport>> = around(
  'sluice/decode-dmar/1',
  z.strictObject({
    header,
    hostAddressWidth: z.int(),
    INTR_REMAP: z.boolean(),
    X2APIC_OPT_OUT: z.boolean(),
    DMA_CTRL_PLATFORM_OPT_IN_FLAG: z.boolean(),
    reserved,
    structures: z.array(dmarStructure),
  }),
) as z.ZodMiniType<Printed<DmarReport>>;

const device = { ...place, deviceId: z.int(), dteSetting: z.int() };
const ivhdEntry = z.discriminatedUnion('type', [
  z.strictObject({ type: z.enum(['pad', 'all', 'select', 'start', 'end']), ...device }),
  z.strictObject({ type: z.enum(['aliasSelect', 'aliasStart']), ...device, sourceId: z.int() }),
  z.strictObject({ type: z.enum(['extendedSelect', 'extendedStart']), ...device, atsDisabled: z.boolean() }),
  z.strictObject({ type: z.literal('special'), ...device, handle: z.int(), sourceId: z.int(), variety: z.int() }),
  z.strictObject({ type: z.literal('acpi'), ...device, hid: z.string(), cid: bytes, uidFormat: z.int(), uid: bytes }),
  z.strictObject({ type: z.literal('unknown'), ...place, typeNumber: z.int(), data: bytes }),
]);
const block = { ...place, typeNumber: z.int(), flags: z.int() };
const ivrsBlock = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('IVHD'),
    ...block,
    deviceId: z.int(),
    capabilityOffset: z.int(),
    base: address,
    segment,
    info: z.int(),
    features: z.int(),
    efr: z.optional(address),
    efr2: z.optional(address),
    entries: z.array(ivhdEntry),
  }),
  z.strictObject({
    type: z.literal('IVMD'),
    ...block,
    deviceId: z.int(),
    auxiliaryData: z.int(),
    segment,
    base: address,
    memoryLength: address,
  }),
  z.strictObject({ type: z.literal('unknown'), ...block, data: bytes }),
]);
export const ivrsReport: z.ZodMiniType<Printed<IvrsReport>> = around(
  'sluice/decode-ivrs/1',
  z.strictObject({
    header,
    EFRSup: z.boolean(),
    DmaRemapSup: z.boolean(),
    GVASize: z.int(),
    PASize: z.int(),
    VASize: z.int(),
    HtAtsResv: z.boolean(),
    reserved,
    blocks: z.array(ivrsBlock),
  }),
) as z.ZodMiniType<Printed<IvrsReport>>;

export const mcfgReport: z.ZodMiniType<Printed<McfgReport>> = around(
  'sluice/decode-mcfg/1',
  z.strictObject({
    header,
    reserved,
    allocations: z.array(z.strictObject({ ...place, base: address, segment, startBus: z.int(), endBus: z.int() })),
    rest: z.optional(bytes),
  }),
) as z.ZodMiniType<Printed<McfgReport>>;

const viotNode = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('pciRange'),
    ...place,
    endpointStart: z.int(),
    segmentStart: z.int(),
    segmentEnd: z.int(),
    bdfStart: z.int(),
    bdfEnd: z.int(),
    outputNode: z.int(),
  }),
  z.strictObject({ type: z.literal('mmioEndpoint'), ...place, endpoint: z.int(), base: address, outputNode: z.int() }),
  z.strictObject({ type: z.literal('virtioIommuPci'), ...place, segment, bdf: z.int() }),
  z.strictObject({ type: z.literal('virtioIommuMmio'), ...place, base: address }),
  z.strictObject({ type: z.literal('unknown'), ...place, typeNumber: z.int(), data: bytes }),
]);
export const viotReport: z.ZodMiniType<Printed<ViotReport>> = around(
  'sluice/decode-viot/1',
  z.strictObject({
    header,
    nodeCount: z.int(),
    nodeOffset: z.int(),
    reserved,
    rest: z.optional(bytes),
    nodes: z.array(viotNode),
  }),
) as z.ZodMiniType<Printed<ViotReport>>;
