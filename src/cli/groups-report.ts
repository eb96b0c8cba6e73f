import * as z from 'zod/mini';

export interface GroupsReport {
  schema: 'sluice/groups/1';
}
export const groupsReport: z.ZodMiniType<GroupsReport> = z.strictObject({ schema: z.literal('sluice/groups/1') });
