import * as z from 'zod/mini';
import type { Snapshot } from '../host/snapshot.ts';

// The record of a host, and what the verb says about the one it wrote.

const refused = z.strictObject({ refused: z.string(), subject: z.string(), errno: z.optional(z.string()) });
const or = <T extends z.ZodMiniType>(type: T) => z.union([type, refused]);
const bytes = z.strictObject({ base64: z.base64(), zeros: z.optional(z.int().check(z.minimum(0), z.maximum(16 * 1024 * 1024))) });
const content = z.union([z.strictObject({ text: z.string() }), bytes, z.null()]);
const word = z.optional(z.int().check(z.minimum(0), z.maximum(0xffff_ffff)));
const size = z.int().check(z.minimum(0));

const place = z.strictObject({
  content: z.optional(or(content)),
  parts: z.optional(z.array(z.strictObject({ offset: size, length: size, answer: or(content) }))),
  link: z.optional(or(z.nullable(z.string()))),
  list: z.optional(or(z.nullable(z.array(z.string())))),
  exists: z.optional(or(z.boolean())),
  claimed: z.optional(or(z.nullable(z.boolean()))),
});

/** What `sluice snapshot` writes, compressed with gzip. */
export const snapshotFile: z.ZodMiniType<Snapshot> = z.strictObject({
  schema: z.literal('sluice/snapshot/1'),
  about: z.string(),
  tool: z.string(),
  taken: z.iso.datetime(),
  redacted: z.boolean(),
  places: z.record(z.string().check(z.regex(/^\//)), z.record(z.string(), place)),
  log: z.optional(or(z.nullable(z.array(z.strictObject({ at: z.number(), level: z.int(), text: z.string() }))))),
  interfaces: z.optional(
    or(
      z.array(
        z.strictObject({
          name: z.string(),
          mac: z.string(),
          up: z.boolean(),
          vfs: z.array(z.strictObject({ mac: z.string(), vlan: z.int(), spoofchk: z.boolean(), trust: z.boolean() })),
        }),
      ),
    ),
  ),
  modules: z.optional(or(z.array(z.string()))),
  kvm: z.optional(or(z.strictObject({ usable: z.boolean(), because: z.string() }))),
  nvme: z.array(
    z.strictObject({
      controller: z.string(),
      command: z.strictObject({
        opcode: z.int(),
        nsid: word,
        cdw10: word,
        cdw11: word,
        cdw12: word,
        cdw13: word,
        cdw14: word,
        cdw15: word,
        dataLength: word,
      }),
      answer: or(z.strictObject({ status: z.int(), result: z.int(), base64: z.base64() })),
    }),
  ),
  programs: z.array(
    z.strictObject({
      argv: z.array(z.string()),
      answer: or(z.strictObject({ code: z.int(), stdout: z.string(), stderr: z.string() })),
    }),
  ),
}) as z.ZodMiniType<Snapshot>;

/** What `sluice snapshot` says with --json about the file that it wrote. */
export interface SnapshotReport {
  schema: 'sluice/snapshot-taken/1';
  /** The host. */
  host: string;
  /** The file, absolute. */
  output: string;
  redacted: boolean;
  /** Of the file. */
  bytes: number;
  functions: number;
  /** Paths that were asked about. */
  places: number;
  /** What could not be read, and so is not in it. */
  unread: { what: string; because: string }[];
}
export const snapshotReport: z.ZodMiniType<SnapshotReport> = z.strictObject({
  schema: z.literal('sluice/snapshot-taken/1'),
  host: z.string(),
  output: z.string(),
  redacted: z.boolean(),
  bytes: z.int(),
  functions: z.int(),
  places: z.int(),
  unread: z.array(z.strictObject({ what: z.string(), because: z.string() })),
});
