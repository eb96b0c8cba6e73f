import { type Inspection, inspect } from '../check/inspect.ts';
import { inspectListing } from '../check/inspect-listing.ts';
import { readPicture } from '../host/picture.ts';
import { topologyOfListing } from '../iommu/index.ts';
import { formatBdf, parseBdf, readHexDump, readLspciText } from '../pci/index.ts';
import type { Run } from './command.ts';
import type { Context } from './context.ts';
import { EXIT, UsageError } from './exit.ts';
import { renderInspection } from './inspect-view.ts';

export const run: Run<'inspect'> = async ({ device, group }, cx) => {
  const report = await inspection(cx);
  const bdf = device === undefined ? undefined : addressOf(report, device);
  const shown = bdf === undefined && group === undefined ? report : only(report, bdf, group);
  cx.print(shown, (whole, page) => renderInspection(whole, page, bdf));
  return shown.iommu.is === 'fail' ? EXIT.findings : EXIT.ok;
};

async function inspection(cx: Context): Promise<Inspection> {
  const progress = cx.progress('reading the host');
  const picture = await readPicture(await cx.host()).finally(() => progress.done());
  const listing = await cx.listing();
  if (listing === undefined) return inspect(picture);
  return inspectListing({ ...picture, topology: topologyOfListing(readLspciText(listing.text), readHexDump(listing.text)) });
}

/** @throws UsageError when the text is no address, or of no function here */
function addressOf(report: Inspection, device: string): string {
  const address = parseBdf(device);
  if (address === undefined)
    throw new UsageError(`${device} is no address of a function`, 'Write it as 0000:3b:00.0 or 3b:00.0.');
  const bdf = formatBdf(address);
  if (report.functions.some((found) => found.bdf === bdf)) return bdf;
  throw new UsageError(`there is no function ${bdf} on this host`, "'sluice inspect' lists them.");
}

/** One function with the others of its group, or one group. */
function only(report: Inspection, bdf: string | undefined, group: string | undefined): Inspection {
  const number = group ?? report.functions.find((found) => found.bdf === bdf)?.group;
  const groups = report.groups.filter((candidate) => String(candidate.number) === String(number));
  if (group !== undefined && groups.length === 0)
    throw new UsageError(`there is no group ${group} on this host`, "'sluice groups' lists them.");
  const members = new Set([...(bdf === undefined ? [] : [bdf]), ...groups.flatMap(({ devices }) => devices)]);
  if (bdf !== undefined && !members.has(bdf)) throw new UsageError(`${bdf} is not in group ${group}`);
  const functions = report.functions.filter((found) => members.has(found.bdf));
  const units = new Set(functions.map((found) => found.unit));
  return {
    ...report,
    units: report.units.filter((unit) => units.has(unit.name)),
    reserved: report.reserved.filter(
      (region) =>
        region.groups.some((one) => groups.some((candidate) => candidate.number === one)) ||
        region.owners.some((owner) => members.has(owner)),
    ),
    groups,
    ...(report.unknownGroups && { unknownGroups: report.unknownGroups.filter((one) => members.has(one.bdf)) }),
    functions,
  };
}
