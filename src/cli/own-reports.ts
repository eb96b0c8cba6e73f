import * as z from 'zod/mini';

/** What `schema list` prints. */
export interface SchemasReport {
  schema: 'sluice/schemas/1';
  schemas: { name: string; says: string }[];
}
export const schemasReport: z.ZodMiniType<SchemasReport> = z.strictObject({
  schema: z.literal('sluice/schemas/1'),
  schemas: z.array(z.strictObject({ name: z.string(), says: z.string() })),
});

/** Text that is made to be read as text. */
export interface TextReport {
  schema: 'sluice/text/1';
  text: string;
}
export const textReport: z.ZodMiniType<TextReport> = z.strictObject({ schema: z.literal('sluice/text/1'), text: z.string() });

/** What a verb that ends with an error prints instead of its report. */
export interface ErrorReport {
  schema: 'sluice/error/1';
  /** Class of the error, or `bug`. */
  kind: string;
  message: string;
  exit: number;
}
export const errorReport: z.ZodMiniType<ErrorReport> = z.strictObject({
  schema: z.literal('sluice/error/1'),
  kind: z.string(),
  message: z.string(),
  exit: z.int(),
});

/** JSON Schema (draft 2020-12) of a zod type, as its values are printed. */
export function toJsonSchema(type: z.ZodMiniType): Record<string, unknown> {
  return z.toJSONSchema(type, { io: 'output' }) as Record<string, unknown>;
}
