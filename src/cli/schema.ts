import { nearest } from '../plan/spec-words.ts';
import type { Run } from './command.ts';
import { EXIT, UsageError } from './exit.ts';
import { table } from './output.ts';
import type { SchemasReport } from './own-reports.ts';
import { SCHEMAS } from './schemas.ts';

export const run: Run<'schema'> = async ({ name = 'spec' }, cx) => {
  if (name === 'list') {
    const schemas = Object.entries(SCHEMAS).map(([name, { says }]) => ({ name, says }));
    const report: SchemasReport = { schema: 'sluice/schemas/1', schemas };
    cx.print(report, ({ schemas }, page) =>
      table(
        page,
        [],
        schemas.map(({ name, says }) => [name, says]),
      ),
    );
    return EXIT.ok;
  }
  const entry = Object.hasOwn(SCHEMAS, name) ? SCHEMAS[name] : undefined;
  if (!entry) {
    const meant = nearest(name, Object.keys(SCHEMAS));
    throw new UsageError(
      `there is no schema ${name}`,
      meant ? `Did you mean ${meant}?` : `There are: ${Object.keys(SCHEMAS).join(', ')}.`,
    );
  }
  cx.world.stdout.write(`${JSON.stringify(await entry.load(), undefined, 2)}\n`);
  return EXIT.ok;
};
