import type { Inspection } from '../check/inspect.ts';
import { type Picture, readPicture } from '../host/picture.ts';
import { formatBdf, parseBdf } from '../pci/index.ts';
import type { Run } from './command.ts';
import { EXIT, UsageError } from './exit.ts';

export const run: Run<'inspect'> = async ({ device, group }, cx) => {
  const host = await cx.host();
  const progress = cx.progress('reading the host');
  const reading = readPicture(host);
  // What judges is loaded while the host is read, and not before that has begun.
  const loading = Promise.all([import('../check/inspect.ts'), import('./inspect-view.ts')]);
  const picture = await reading.finally(() => progress.done());
  const [{ inspect, inspectInTurn }, { renderInspection }] = await loading;
  const listing = await cx.listing();
  if (cx.json && device === undefined && group === undefined && listing === undefined) {
    const report = inspectInTurn(picture);
    cx.print(report, () => '');
    return report.iommu.is === 'fail' ? EXIT.findings : EXIT.ok;
  }
  const report = listing === undefined ? inspect(picture) : await inspectListed(picture, listing.text);
  const bdf = device === undefined ? undefined : addressOf(report, device);
  const shown = bdf === undefined && group === undefined ? report : only(report, bdf, group);
  cx.print(shown, (whole, page) => renderInspection(whole, page, bdf));
  return shown.iommu.is === 'fail' ? EXIT.findings : EXIT.ok;
};

/** What somebody posted, with the groups that it leads to. */
async function inspectListed(picture: Picture, text: string): Promise<Inspection> {
  const { inspectListing } = await import('../check/inspect-listing.ts');
  const { topologyOfListing } = await import('../iommu/index.ts');
  const { readHexDump, readLspciText } = await import('../pci/index.ts');
  return inspectListing({ ...picture, topology: topologyOfListing(readLspciText(text), readHexDump(text)) });
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
