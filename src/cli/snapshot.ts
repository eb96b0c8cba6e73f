import { writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { HostError } from '../host/host.ts';
import { readPicture } from '../host/picture.ts';
import { recording } from '../host/record.ts';
import type { Snapshot } from '../host/snapshot.ts';
import { claimedFunctions } from '../plan/journal.ts';
import { readQemu } from '../qemu/index.ts';
import type { Run } from './command.ts';
import { EXIT, UsageError } from './exit.ts';
import { harmless, type Page, table, wrap } from './output.ts';
import { version } from './package.ts';
import { packSnapshot } from './snapshot-file.ts';
import type { SnapshotReport } from './snapshot-report.ts';

export const run: Run<'snapshot'> = async ({ output, redact }, cx) => {
  const progress = cx.progress('reading the host');
  const { host, snapshot } = recording(await cx.host(), version());
  const picture = await readPicture(host).finally(() => progress.done());
  await readForPlan(async () => await readQemu(host.hypervisor));
  await readForPlan(async () => await claimedFunctions(host, cx.state, picture.system.bootId));
  await (await import('./check-for.ts')).readForAppliances(host, picture);
  // To find them in other texts.
  if (redact)
    for (const name of ['hostname', 'domainname'])
      await readForPlan(async () => await host.files.readText(`/proc/sys/kernel/${name}`));
  const taken = snapshot();
  const file = redact ? (await import('../host/redact.ts')).redacted(taken) : taken;
  const path = resolve(output);
  const bytes = packSnapshot(file);
  await writeFile(path, bytes, { mode: 0o600 }).catch((error: NodeJS.ErrnoException) => {
    throw new UsageError(`${output} cannot be written: ${error.message}`);
  });
  cx.print(
    {
      schema: 'sluice/snapshot-taken/1',
      host: picture.host,
      output: path,
      redacted: redact,
      bytes: bytes.length,
      functions: picture.functions.length,
      places: countPlaces(file),
      unread: picture.unread.map(({ what, because }) => ({ what, because })),
    },
    render,
  );
  return EXIT.ok;
};

/** What only a plan needs: where it is not to be had, the record has the refusal. */
async function readForPlan(read: () => Promise<unknown>): Promise<void> {
  try {
    await read();
  } catch (error) {
    if (!(error instanceof HostError || (error instanceof Error && error.name === 'JournalError'))) throw error;
  }
}

function countPlaces({ places }: Snapshot): number {
  return Object.values(places).reduce((sum, names) => sum + Object.keys(names).length, 0);
}

function render(report: SnapshotReport, page: Page): string {
  const rows = [
    ['written', `${report.output}, ${report.bytes} bytes`],
    ['holds', `${report.functions} functions, ${report.places} paths`],
    [
      'redacted',
      report.redacted
        ? 'yes: what identifies people and machines is replaced'
        : 'no: --redact leaves out names and serial numbers',
    ],
  ];
  const missing = report.unread.flatMap(({ what, because }) => wrap(harmless(`${what}: ${because}`), page.width - 2));
  return [
    table(page, [], rows),
    ...(missing.length === 0 ? [] : ['', page.style.bold('Not read, and so not in it'), ...missing.map((line) => `  ${line}`)]),
    '',
    `Look at it with: sluice inspect --host ${report.output}`,
  ].join('\n');
}
