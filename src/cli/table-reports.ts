import * as z from 'zod/mini';

export interface DmarReport {
  schema: 'sluice/decode-dmar/1';
}
export const dmarReport: z.ZodMiniType<DmarReport> = z.strictObject({ schema: z.literal('sluice/decode-dmar/1') });
export interface IvrsReport {
  schema: 'sluice/decode-ivrs/1';
}
export const ivrsReport: z.ZodMiniType<IvrsReport> = z.strictObject({ schema: z.literal('sluice/decode-ivrs/1') });
export interface McfgReport {
  schema: 'sluice/decode-mcfg/1';
}
export const mcfgReport: z.ZodMiniType<McfgReport> = z.strictObject({ schema: z.literal('sluice/decode-mcfg/1') });
export interface ViotReport {
  schema: 'sluice/decode-viot/1';
}
export const viotReport: z.ZodMiniType<ViotReport> = z.strictObject({ schema: z.literal('sluice/decode-viot/1') });
