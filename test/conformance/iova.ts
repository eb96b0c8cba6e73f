import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { apertureOf, iovaRanges, parseReserved } from '../../src/vfio/iova.ts';
import type { CapturedState } from '../captures.ts';
import { type ConformanceSet, partOf, Tally } from './set.ts';

/** VFIO calls of a capture, as far as this set needs them. */
interface Call {
  op: string;
  args?: string;
  result?: string;
  iova?: [start: string, end: string][];
}
interface Recorded {
  name: string;
  uname: { release: string };
  events: (CapturedState | Call)[];
}

/** The ranges that VFIO_IOMMU_GET_INFO gave, against those that follow from the unit's registers and the reserved regions. */
export const IOVA: ConformanceSet = {
  name: 'captures/iova',
  run(folder) {
    const part = partOf(folder, 'captures');
    if (part === undefined) return undefined;
    const tally = new Tally();
    for (const file of readdirSync(part).sort())
      if (file.endsWith('.json.gz'))
        judgeCapture(JSON.parse(gunzipSync(readFileSync(join(part, file))).toString()) as Recorded, tally);
    return tally.total === 0 ? undefined : tally;
  },
};

function judgeCapture({ name, uname, events }: Recorded, tally: Tally): void {
  let state: CapturedState | undefined;
  /** Functions by the handle of their group, and handles of groups by container. */
  const groups = new Map<string, string>();
  const containers = new Map<string, Set<string>>();
  for (const [at, event] of events.entries()) {
    if (event.op === 'state') {
      state = event as CapturedState;
      continue;
    }
    const { op, args = '', result, iova } = event as Call;
    const [first = '', second = ''] = args.split(' ');
    if (op === 'groupopen' && result === 'ok') groups.set(first, second);
    if (op === 'setcontainer' && result === 'ok') containers.set(second, (containers.get(second) ?? new Set()).add(first));
    if (op === 'unsetcontainer' && result === 'ok') for (const members of containers.values()) members.delete(first);
    if (op !== 'iommuinfo' || result !== 'ok' || iova === undefined || state === undefined) continue;
    const bdfs = [...(containers.get(first) ?? [])].flatMap((handle) => groups.get(handle) ?? []);
    const said = JSON.stringify(iova);
    const ours = JSON.stringify(predict(state, uname.release, bdfs));
    tally.add(`${name}, event ${at}`, said === ours ? undefined : `the kernel said ${said}, we say ${ours}`);
  }
}

function predict(state: CapturedState, release: string, bdfs: readonly string[]): string[][] | undefined {
  const kernel = { release, cmdline: state.proc.cmdline ?? '' };
  const ends: bigint[] = [];
  for (const bdf of bdfs) {
    const name = state.devices[bdf]?.links.iommu ?? '';
    const unit = state.iommus[name];
    const cap = unit?.['intel-iommu'].cap;
    const aperture = apertureOf(
      { name, amd: unit?.['amd-iommu'].cap !== undefined, ...(cap === undefined ? {} : { cap }) },
      kernel,
    );
    if (aperture === undefined) return undefined;
    ends.push(aperture.end);
  }
  if (ends.length === 0) return undefined;
  const reserved = bdfs.flatMap((bdf) =>
    parseReserved(state.groups[state.devices[bdf]?.links.iommu_group ?? '']?.reserved_regions ?? ''),
  );
  return iovaRanges(ends, reserved).map(({ start, end }) => [`0x${start.toString(16)}`, `0x${end.toString(16)}`]);
}
