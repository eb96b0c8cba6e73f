import { placeFault } from '../check/fault-on-host.ts';
import { FaultCollector } from '../check/log-faults.ts';
import { LogReader, logLines } from '../check/log-lines.ts';
import { readPicture } from '../host/picture.ts';
import type { Run } from './command.ts';
import { EXIT, UsageError } from './exit.ts';
import { renderFaults, showFault } from './fault-report.ts';
import { readPieces } from './input.ts';

export const run: Run<'decode fault'> = async ({ line }, cx) => {
  const collector = new FaultCollector();
  if (line === '-') {
    const reader = new LogReader();
    for await (const piece of readPieces('-')) for (const one of reader.push(piece)) collector.add(one);
    for (const one of reader.end()) collector.add(one);
  } else for (const one of logLines(line)) collector.add(one);
  const { faults, ...rest } = collector.end();
  if (line !== '-' && faults.length === 0 && rest.smmu === 0)
    throw new UsageError(
      'this is no fault line of VT-d or AMD-Vi',
      "They look like 'DMAR: [DMA Read NO_PASID] Request device [0a:00.0] fault addr 0xfffe0000 [fault reason 0x06] ...'\nor 'AMD-Vi: Event logged [IO_PAGE_FAULT device=0a:00.0 domain=0x0001 ...]'; - reads a whole log.",
    );
  const picture = cx.named ? await readPicture(await cx.host()) : undefined;
  const shown = faults.map((one) => showFault(one, picture === undefined ? [] : placeFault(picture, one.fault)));
  cx.print({ schema: 'sluice/decode-fault/1' as const, faults: shown, ...rest }, renderFaults);
  return EXIT.ok;
};
