import * as z from 'zod/mini';

export interface FaultReport {
  schema: 'sluice/decode-fault/1';
}
export const faultReport: z.ZodMiniType<FaultReport> = z.strictObject({ schema: z.literal('sluice/decode-fault/1') });
