import * as z from 'zod/mini';

/** What `sluice groups` prints with --json. */
export interface GroupsReport {
  schema: 'sluice/groups/1';
  host: string;
  /**
   * `kernel`: these are the kernel's own groups. `computed`: it shows none, or something else was supposed; then the numbers
   * are the order in which the kernel would find them.
   */
  are: 'kernel' | 'computed';
  /** What was supposed with --if, in the words of that option. */
  supposing: string[];
  notes: string[];
  groups: {
    number: number;
    members: { bdf: string; what: string; driver?: string }[];
    /** Why there are several; absent for one member, or when only the kernel knows. */
    because?: string;
    /** How each but the first came to the group. */
    joins: {
      bdf: string;
      with: string;
      by: 'alias' | 'path' | 'dma-alias' | 'function';
      at: string;
      lacks: ('SV' | 'RR' | 'CR' | 'UF')[];
      because: string;
    }[];
  }[];
  ungrouped: { bdf: string; because: string }[];
  /** Functions of which it could not be computed who is with them. */
  unknown: { bdf: string; because: string[]; perhapsWith: string[] }[];
  /** Where the kernel's groups are not the computed ones. */
  differences: {
    kernel: 'finer' | 'coarser';
    functions: string[];
    groups: number[];
    reason: 'acs override active' | 'order' | 'quirk unknown to us';
    says: string;
  }[];
  /** Functions that have a group on one side only. */
  presence: { bdf: string; says: string }[];
  /** With --if: functions whose company would be another. */
  changed?: { bdf: string; was: string[]; becomes: string[] }[];
  /** With --why. */
  why?: {
    a: string;
    b: string;
    is: 'together' | 'apart' | 'unknown' | 'none';
    at?: string;
    missing: ('SV' | 'RR' | 'CR' | 'UF')[];
    because: string[];
  };
}

const bits = z.array(z.enum(['SV', 'RR', 'CR', 'UF']));
const presence = z.strictObject({ bdf: z.string(), says: z.string() });

export const groupsReport: z.ZodMiniType<GroupsReport> = z.strictObject({
  schema: z.literal('sluice/groups/1'),
  host: z.string(),
  are: z.enum(['kernel', 'computed']),
  supposing: z.array(z.string()),
  notes: z.array(z.string()),
  groups: z.array(
    z.strictObject({
      number: z.int(),
      members: z.array(z.strictObject({ bdf: z.string(), what: z.string(), driver: z.optional(z.string()) })),
      because: z.optional(z.string()),
      joins: z.array(
        z.strictObject({
          bdf: z.string(),
          with: z.string(),
          by: z.enum(['alias', 'path', 'dma-alias', 'function']),
          at: z.string(),
          lacks: bits,
          because: z.string(),
        }),
      ),
    }),
  ),
  ungrouped: z.array(z.strictObject({ bdf: z.string(), because: z.string() })),
  unknown: z.array(z.strictObject({ bdf: z.string(), because: z.array(z.string()), perhapsWith: z.array(z.string()) })),
  differences: z.array(
    z.strictObject({
      kernel: z.enum(['finer', 'coarser']),
      functions: z.array(z.string()),
      groups: z.array(z.int()),
      reason: z.enum(['acs override active', 'order', 'quirk unknown to us']),
      says: z.string(),
    }),
  ),
  presence: z.array(presence),
  changed: z.optional(z.array(z.strictObject({ bdf: z.string(), was: z.array(z.string()), becomes: z.array(z.string()) }))),
  why: z.optional(
    z.strictObject({
      a: z.string(),
      b: z.string(),
      is: z.enum(['together', 'apart', 'unknown', 'none']),
      at: z.optional(z.string()),
      missing: bits,
      because: z.array(z.string()),
    }),
  ),
}) as z.ZodMiniType<GroupsReport>;
