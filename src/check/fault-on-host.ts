import type { PciFunction } from '../host/functions.ts';
import { groupNumbered, type Picture } from '../host/picture.ts';
import type { Fault } from '../iommu/index.ts';
import { reservedRegions } from './reserved.ts';

/**
 * What a host tells about a fault: which function it was, what its DMA goes through, and whose address it is.
 * Sentences, the most telling first.
 */
export function placeFault(picture: Picture, fault: Fault): string[] {
  if (!('requester' in fault) || fault.requester === undefined) return [];
  const functions = requesters(picture, fault.requester);
  const said: string[] = [];
  if (functions.length === 0) said.push(...noSuchFunction(picture, fault.requester));
  for (const found of functions) said.push(describe(picture, found));
  if ('address' in fault && fault.address !== undefined) said.push(...ownersOf(picture, fault.address, functions));
  return said;
}

/** Functions with a requester ID; VT-d lines carry no segment, so that there may be several. */
function requesters(picture: Picture, requester: string): PciFunction[] {
  const whole = requester.split(':').length === 3;
  return picture.functions.filter(({ bdf }) => (whole ? bdf === requester : bdf.slice(bdf.indexOf(':') + 1) === requester));
}

function noSuchFunction(picture: Picture, requester: string): string[] {
  const slot = requester.replace(/\.[0-7]$/, '');
  const neighbours = picture.functions.filter(({ bdf }) => bdf.replace(/\.[0-7]$/, '').endsWith(slot)).map(({ bdf }) => bdf);
  const said = `this host has no function ${requester}: a device that uses another requester ID (an alias), or one that is gone`;
  return neighbours.length === 0 ? [said] : [said, `functions of the same slot: ${neighbours.join(', ')}`];
}

function describe(picture: Picture, found: PciFunction): string {
  const group = found.group === undefined ? undefined : groupNumbered(picture, found.group);
  const type = group?.type === undefined ? '' : `, default domain ${group.type}`;
  const in_ = group === undefined ? 'in no IOMMU group' : `in group ${group.number}${type}`;
  return `${found.bdf} has ${found.driver === undefined ? 'no driver' : `the driver ${found.driver}`}, behind ${found.unit ?? 'no unit'}, ${in_}`;
}

const MSI = { start: 0xfee0_0000n, end: 0xfeef_ffffn };
/** Of AMD platforms: interrupts, port I/O and configuration. Linux drivers/iommu/amd HT_RANGE. */
const HT = { start: 0xfd_0000_0000n, end: 0xff_ffff_ffffn };

/** What lies at an address. It is the device's own address (IOVA): that it is also a place on the host is only a hint. */
function ownersOf(picture: Picture, address: bigint, functions: readonly PciFunction[]): string[] {
  const inside = (start: bigint, end: bigint) => start <= address && address <= end;
  const said: string[] = [];
  if (inside(MSI.start, MSI.end)) said.push('the address is in the MSI window: such a write is an interrupt');
  if (inside(HT.start, HT.end) && picture.units.some(({ amd }) => amd !== undefined))
    said.push('the address is in the HyperTransport range, which AMD-Vi reserves');
  for (const region of reservedRegions(picture)) {
    if (!inside(BigInt(region.start), BigInt(region.end)) || region.kind === 'msi') continue;
    const mine = functions.some(
      ({ bdf, group }) => region.owners.includes(bdf) || (group !== undefined && region.groups.includes(group)),
    );
    const whose = region.owners.length > 0 ? ` of ${region.owners.slice(0, 4).join(', ')}` : '';
    said.push(
      `the address is in the ${region.kind} region ${region.start}-${region.end}${whose}${mine ? '' : ', which is not for this device'}`,
    );
  }
  for (const found of picture.functions)
    for (const { index, start, size, space, unset } of found.resources)
      if (
        space === 'memory' &&
        !unset &&
        index < 13 &&
        (found.headerType ?? 0) === 0 &&
        size > 0 &&
        inside(BigInt(start), BigInt(start) + BigInt(size) - 1n)
      )
        said.push(
          `taken as an address of the host it is in BAR ${index} of ${found.bdf}: DMA from device to device, when nothing translates`,
        );
  const ram = iomemOf(picture, address);
  if (ram !== undefined) said.push(`taken as an address of the host it is in "${ram}" of /proc/iomem`);
  return said;
}

/** The innermost range of /proc/iomem; undefined when it shows no addresses (they need root) or none fits. */
function iomemOf({ texts }: Picture, address: bigint): string | undefined {
  let name: string | undefined;
  for (const line of (texts['/proc/iomem'] ?? '').split('\n')) {
    const match = /^ *([0-9a-f]{1,16})-([0-9a-f]{1,16}) : (.{1,80})/.exec(line);
    if (match === null || match[2] === '0'.repeat(match[2]!.length)) continue;
    if (BigInt(`0x${match[1]}`) <= address && address <= BigInt(`0x${match[2]}`)) name = match[3];
  }
  return name;
}
