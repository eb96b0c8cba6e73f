import type * as z from 'zod/mini';

export type JsonSchema = Record<string, unknown>;

interface Entry {
  /** What it describes. */
  says: string;
  load: () => Promise<JsonSchema>;
}

/**
 * Every JSON Schema that `sluice schema` prints. A report's schema is the zod definition beside its type, and its name is what
 * stands in the report: `inspect` for `schema: 'sluice/inspect/1'`. A change that a reader could stumble over gets another number.
 */
export const SCHEMAS: Readonly<Record<string, Entry>> = {
  spec: { says: 'the file that describes a VM', load: async () => (await import('../plan/spec.ts')).specJsonSchema() },
  inspect: report('inspect', async () => (await import('./reports.ts')).inspectReport),
  groups: report('groups', async () => (await import('./groups-report.ts')).groupsReport),
  check: report('check', async () => (await import('./check-report.ts')).checkReport),
  'check-log': report('check --log', async () => (await import('./check-log-report.ts')).checkLogReport),
  'check-for': report('check --for', async () => (await import('./check-for.ts')).applianceReport),
  snapshot: {
    says: 'the file that snapshot writes, unpacked',
    load: async () => (await import('./own-reports.ts')).toJsonSchema((await import('./snapshot-report.ts')).snapshotFile),
  },
  'snapshot-taken': report('snapshot', async () => (await import('./snapshot-report.ts')).snapshotReport),
  'decode-config': report('decode config', async () => (await import('./config-report.ts')).configReport),
  'decode-dmar': report('decode dmar', async () => (await import('./table-reports.ts')).dmarReport),
  'decode-ivrs': report('decode ivrs', async () => (await import('./table-reports.ts')).ivrsReport),
  'decode-mcfg': report('decode mcfg', async () => (await import('./table-reports.ts')).mcfgReport),
  'decode-viot': report('decode viot', async () => (await import('./table-reports.ts')).viotReport),
  'decode-fault': report('decode fault', async () => (await import('./fault-report.ts')).faultReport),
  plan: report('plan', async () => (await import('./reports.ts')).planReport),
  apply: report('apply', async () => (await import('./reports.ts')).applyReport),
  verify: report('verify', async () => (await import('./reports.ts')).verifyReport),
  revert: report('revert', async () => (await import('./reports.ts')).revertReport),
  status: report('status', async () => (await import('./reports.ts')).statusReport),
  'lab-setup': report('lab setup', async () => (await import('./lab-reports.ts')).labSetupReport),
  'lab-run': report('lab run', async () => (await import('./lab-reports.ts')).labRunReport),
  'lab-status': report('lab status', async () => (await import('./lab-reports.ts')).labStatusReport),
  'lab-demo': report('lab demo', async () => (await import('./lab-reports.ts')).demoReport),
  schemas: report('schema list', async () => (await import('./own-reports.ts')).schemasReport),
  text: report('help, completion and man', async () => (await import('./own-reports.ts')).textReport),
  error: report('any verb that ends with an error', async () => (await import('./own-reports.ts')).errorReport),
};

function report(command: string, type: () => Promise<z.ZodMiniType>): Entry {
  return {
    says: `what ${command} prints with --json`,
    load: async () => (await import('./own-reports.ts')).toJsonSchema(await type()),
  };
}
