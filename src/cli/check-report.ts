import * as z from 'zod/mini';

export interface CheckReport {
  schema: 'sluice/check/1';
}
export const checkReport: z.ZodMiniType<CheckReport> = z.strictObject({ schema: z.literal('sluice/check/1') });
