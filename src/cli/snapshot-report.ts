import * as z from 'zod/mini';

export interface SnapshotReport {
  schema: 'sluice/snapshot/1';
}
export const snapshotReport: z.ZodMiniType<SnapshotReport> = z.strictObject({ schema: z.literal('sluice/snapshot/1') });
