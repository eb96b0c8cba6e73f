import * as z from 'zod/mini';
import type { Bar, ConfigDescription, DescribedCapability, DescribedStructure, DumpFinding, Window } from '../pci/index.ts';

/** One function of the input. */
export interface DecodedFunction extends ConfigDescription {
  /** `0000:3b:00.0`; raw bytes have none, nor have rows without an address. */
  bdf?: string;
  /** Where a dump begins in the text, counted from 1. */
  line?: number;
}

export interface ConfigReport {
  schema: 'sluice/decode-config/1';
  file: string;
  /** `raw` bytes, or a hexadecimal `dump`. */
  form: 'raw' | 'dump';
  functions: DecodedFunction[];
  /** Lines of a dump that are not as lspci prints them. Findings in a function's bytes are in the function. */
  dumpFindings: DumpFinding[];
}

const ids = z.strictObject({ vendor: z.int(), device: z.int() });
const structure: z.ZodMiniType<DescribedStructure> = z.strictObject({
  title: z.string(),
  source: z.string(),
  offset: z.int(),
  bytes: z.int(),
  fields: z.array(
    z.strictObject({ name: z.string(), label: z.string(), value: z.union([z.number(), z.string()]), text: z.string() }),
  ),
});
const capability: z.ZodMiniType<DescribedCapability> = z.strictObject({
  id: z.int(),
  name: z.string(),
  offset: z.int(),
  extended: z.boolean(),
  version: z.int(),
  summary: z.exactOptional(z.string()),
  structures: z.array(structure),
});
const bar: z.ZodMiniType<Bar> = z.strictObject({
  index: z.int(),
  space: z.enum(['memory', 'io']),
  width: z.literal([32, 64]),
  prefetchable: z.boolean(),
  base: z.number(),
});
const window: z.ZodMiniType<Window> = z.strictObject({
  space: z.enum(['io', 'memory', 'prefetchable']),
  width: z.exactOptional(z.literal([16, 32, 64])),
  base: z.number(),
  limit: z.number(),
});

export const configReport: z.ZodMiniType<ConfigReport> = z.strictObject({
  schema: z.literal('sluice/decode-config/1'),
  file: z.string(),
  form: z.enum(['raw', 'dump']),
  functions: z.array(
    z.strictObject({
      bdf: z.exactOptional(z.string()),
      line: z.exactOptional(z.int()),
      length: z.int(),
      vendor: z.int(),
      device: z.int(),
      classCode: z.int(),
      className: z.string(),
      revision: z.int(),
      layout: z.enum(['type0', 'type1', 'cardBus', 'unknown']),
      multiFunction: z.boolean(),
      subsystem: z.exactOptional(ids),
      header: structure,
      bars: z.array(bar),
      rom: z.exactOptional(z.strictObject({ base: z.number(), enabled: z.boolean() })),
      bridge: z.exactOptional(
        z.strictObject({
          primary: z.int(),
          secondary: z.int(),
          subordinate: z.int(),
          windows: z.array(window),
          registers: z.exactOptional(structure),
        }),
      ),
      capabilities: z.array(capability),
      findings: z.array(
        z.strictObject({
          is: z.enum([
            'absent',
            'short',
            'bad-pointer',
            'loop',
            'broken-chain',
            'unknown-layout',
            'overrun',
            'overlap',
            'bad-value',
          ]),
          offset: z.int(),
          says: z.string(),
        }),
      ),
    }),
  ),
  dumpFindings: z.array(
    z.strictObject({
      is: z.enum(['malformed', 'short-row', 'out-of-order', 'repeated', 'incomplete']),
      line: z.int(),
      says: z.string(),
    }),
  ),
});
