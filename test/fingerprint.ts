import { execFileSync } from 'node:child_process';
import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';

/** Attributes that change by themselves: counters, and power states that runtime power management decides. */
const RESTLESS = /^(power_state|runtime_.*|aer_.*|active_duration|.*_time|.*usage|temp.*|statistics|async|control)$/;
/** Not text, or without end, or dangerous to read. */
const UNREADABLE = /^(rom|vpd|resource\d.*|remove|rescan|reset|uevent)$/;

/**
 * What this machine shows of everything that a plan may change, by path: every attribute and link of every PCI function and
 * its SR-IOV state, configuration space, IOMMU groups, drivers' functions, /dev/vfio, interfaces with their VF settings,
 * modules, and running QEMUs. Read with nothing of Sluice, so that it can judge Sluice.
 */
export function fingerprint(): Record<string, string> {
  const found: Record<string, string> = {};
  for (const bdf of readdirSync('/sys/bus/pci/devices')) readFolder(join('/sys/bus/pci/devices', bdf), found);
  for (const group of readdirSync('/sys/kernel/iommu_groups')) {
    const at = `/sys/kernel/iommu_groups/${group}`;
    found[`${at}/devices`] = names(`${at}/devices`);
    for (const file of ['type', 'reserved_regions']) found[`${at}/${file}`] = readFileSync(`${at}/${file}`, 'utf8');
  }
  for (const driver of readdirSync('/sys/bus/pci/drivers'))
    found[`/sys/bus/pci/drivers/${driver}`] = readdirSync(`/sys/bus/pci/drivers/${driver}`)
      .filter((name) => name.includes(':'))
      .sort()
      .join(' ');
  found['/dev/vfio'] = names('/dev/vfio');
  found['/proc/modules'] = readFileSync('/proc/modules', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[0] ?? '')
    .sort()
    .join(' ');
  const links = JSON.parse(execFileSync('ip', ['-j', '-d', 'link', 'show'], { encoding: 'utf8' })) as Record<string, unknown>[];
  for (const { ifname, flags, address, vfinfo_list } of links)
    found[`interface ${String(ifname)}`] = JSON.stringify({ flags, address, vfinfo_list });
  found.qemu = readdirSync('/proc')
    .filter((pid) => /^\d+$/.test(pid) && command(pid).includes('qemu-system'))
    .join(' ');
  return found;
}

/** Paths that differ, with both values. */
export function differences(before: Record<string, string>, after: Record<string, string>): string[] {
  return [...new Set([...Object.keys(before), ...Object.keys(after)])]
    .filter((path) => before[path] !== after[path])
    .map((path) => `${path}: ${before[path] ?? '(absent)'} -> ${after[path] ?? '(absent)'}`);
}

function readFolder(folder: string, found: Record<string, string>): void {
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    const about = lstatSync(path);
    if (about.isSymbolicLink()) found[path] = readlinkSync(path);
    else if (about.isFile() && !RESTLESS.test(name) && !UNREADABLE.test(name)) found[path] = content(path);
    else if (about.isDirectory() && name === 'net') found[path] = names(path);
  }
}

function content(path: string): string {
  try {
    const bytes = readFileSync(path);
    return path.endsWith('/config') ? bytes.toString('hex') : bytes.toString('utf8').trim();
  } catch (error) {
    return String((error as NodeJS.ErrnoException).code);
  }
}

function names(folder: string): string {
  try {
    return readdirSync(folder).sort().join(' ');
  } catch {
    return '(absent)';
  }
}

function command(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}
