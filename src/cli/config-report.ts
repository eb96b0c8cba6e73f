import * as z from 'zod/mini';

export interface ConfigReport {
  schema: 'sluice/decode-config/1';
}
export const configReport: z.ZodMiniType<ConfigReport> = z.strictObject({ schema: z.literal('sluice/decode-config/1') });
