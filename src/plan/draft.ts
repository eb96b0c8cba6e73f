import type { Evidence, Finding } from '../check/check.ts';
import type { PciFunction } from '../host/functions.ts';
import { functionOf, type Picture } from '../host/picture.ts';
import type { JournalDevice } from './journal.ts';
import type { Refusal } from './plan.ts';
import type { DeviceSpec, SourcePlace } from './spec.ts';
import type { Step } from './step.ts';

/** Collects what planning finds, in the order in which it is to be done. */
export interface Draft {
  /** The host as it will be when the functions that the spec gives away have left their drivers. */
  picture: Picture;
  /** The host as it was read. */
  present: Picture;
  /** Functions of other applied VMs, with their names. */
  claimed: Readonly<Record<string, string>>;
  steps: Step[];
  /** Steps that wait until vfio-pci has the functions. */
  afterBind: Step[];
  devices: JournalDevice[];
  refusals: Refusal[];
  warnings: string[];
}

/** Gives a function to the guest, once. */
export function addDevice(draft: Draft, at: SourcePlace, device: JournalDevice): void {
  if (draft.devices.some((other) => other.bdf === device.bdf))
    draft.refusals.push({
      id: 'spec/once',
      asks: 'Is every function given once?',
      bdf: device.bdf,
      at,
      is: 'fail',
      because: 'the spec gives it twice',
      seen: [],
    });
  draft.devices.push(device);
}

/** What a PF is called on the host. */
export function namesOf(pf: PciFunction): Pick<JournalDevice, 'pf' | 'pfInterface' | 'pfNvme'> {
  const [pfInterface] = pf.interfaces;
  const [pfNvme] = pf.nvme;
  return { pf: pf.bdf, ...(pfInterface === undefined ? {} : { pfInterface }), ...(pfNvme === undefined ? {} : { pfNvme }) };
}

/** Every finding that failed refuses, at that place of the spec. */
export function refuseFailing(draft: Draft, at: SourcePlace, findings: readonly Finding[]): void {
  for (const finding of findings)
    if (finding.is === 'fail')
      draft.refusals.push({ ...finding, seen: finding.seen.map((one) => asRead(draft.present, one)), at });
}

/** Evidence is what was read: a function that the spec gives away still has its driver. */
function asRead(present: Picture, evidence: Evidence): Evidence {
  const bdf = /^\/sys\/bus\/pci\/devices\/([^/]+)\/driver$/.exec(evidence.where)?.[1];
  const found = bdf === undefined ? undefined : functionOf(present, bdf);
  return found === undefined ? evidence : { ...evidence, text: found.driver ?? 'none' };
}

/** A function of which nothing is known, as `unread` of a picture names it. */
const BDF = /^[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$/;

/** The refusal of a device that the host does not have, or that could not be read. */
export function absent(picture: Picture, device: DeviceSpec, named: string): Refusal {
  const unread = picture.unread.filter(({ what }) => what === named || (!BDF.test(named) && BDF.test(what)));
  if (unread.length > 0)
    return {
      id: 'spec/device',
      asks: 'Is the device there?',
      bdf: named,
      at: device.at,
      is: 'unknown',
      because: BDF.test(named) ? 'it could not be read' : 'it was not found, and not every function could be read',
      seen: unread.map(({ what, because }) => ({ where: what, text: because })),
      fix: ['try again when the host is less busy'],
    };
  const names = picture.functions.flatMap((found) => [...found.interfaces, ...found.nvme]);
  return {
    id: 'spec/device',
    asks: 'Is the device there?',
    bdf: named,
    at: device.at,
    is: 'fail',
    because: `there is no function ${named} on this host`,
    seen: [
      {
        where: '/sys/bus/pci/devices',
        text: `${picture.functions.length} functions${names.length === 0 ? '' : `; named: ${names.join(', ')}`}`,
      },
    ],
    fix: ['sluice inspect lists them'],
  };
}
