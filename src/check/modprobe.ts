import type { PciFunction } from '../host/functions.ts';
import type { Picture } from '../host/picture.ts';
import type { Evidence } from './check.ts';
import { bootWords } from './cmdline.ts';
import { configOf, once } from './index-of.ts';

/** A device that vfio-pci was told to take by its numbers, wherever it stands. */
interface Wanted {
  vendor: number;
  device: number;
  subvendor?: number;
  subdevice?: number;
  seen: Evidence;
}

/** A line of /etc/modprobe.d: `options vfio-pci ids=...` is `options`, `vfio_pci` and the rest. */
interface Line {
  command: string;
  module: string;
  rest: readonly string[];
  seen: Evidence;
}

/** Lines of /etc/modprobe.d, without comments. Source: modprobe.d(5). */
export const modprobeLines: (picture: Picture) => readonly Line[] = once(({ texts }) =>
  Object.entries(texts).flatMap(([where, text]) =>
    where.startsWith('/etc/modprobe.d/')
      ? text
          .replaceAll('\\\n', ' ')
          .split('\n')
          .flatMap((line) => {
            const [command = '', module = '', ...rest] = line.trim().split(/\s+/);
            if (command === '' || command.startsWith('#')) return [];
            return { command, module: module.replaceAll('-', '_'), rest, seen: { where, text: line.trim() } };
          })
      : [],
  ),
);

/** All that vfio-pci is told to take by its numbers: on the command line, and when the module loads. */
const wantedIds: (picture: Picture) => readonly Wanted[] = once((picture) => [
  ...bootWords(picture.system.cmdline).flatMap(({ name, value, text }) =>
    name === 'vfio_pci.ids' ? idsIn(value, { where: '/proc/cmdline', text }) : [],
  ),
  ...modprobeLines(picture).flatMap(({ command, module, rest, seen }) =>
    command === 'options' && module === 'vfio_pci'
      ? rest.flatMap((word) => (word.startsWith('ids=') ? idsIn(word.slice('ids='.length), seen) : []))
      : [],
  ),
]);

/** `10de:1b80,8086:10c9:8086:a03c`: vendor, device, subsystem vendor and device. Source: Linux vfio_pci_fill_ids(). */
function idsIn(list: string, seen: Evidence): Wanted[] {
  return list.split(',').flatMap((item) => {
    const [vendor, device, subvendor, subdevice] = item
      .replaceAll('"', '')
      .split(':')
      .map((digits) => Number.parseInt(digits, 16));
    if (vendor === undefined || device === undefined || Number.isNaN(vendor) || Number.isNaN(device)) return [];
    const wanted: Wanted = { vendor, device, seen };
    // All ones stand for any.
    if (subvendor !== undefined && subvendor <= 0xffff) wanted.subvendor = subvendor;
    if (subdevice !== undefined && subdevice <= 0xffff) wanted.subdevice = subdevice;
    return [wanted];
  });
}

/** What tells vfio-pci to take this function by its numbers, or undefined. */
export function takenById(picture: Picture, found: PciFunction): Evidence | undefined {
  const { vendor, device } = found;
  const subsystem = configOf(found)?.subsystem;
  return wantedIds(picture).find(
    (one) =>
      one.vendor === vendor &&
      one.device === device &&
      (one.subvendor === undefined || subsystem === undefined || one.subvendor === subsystem.vendor) &&
      (one.subdevice === undefined || subsystem === undefined || one.subdevice === subsystem.device),
  )?.seen;
}
