import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { realFile } from '../../test/real-qemu.ts';
import { liveHost } from '../host/live/index.ts';
import { connectAgent } from './agent.ts';
import { buildArgv, type GuestMachine, guestFiles } from './argv.ts';
import { readQemu } from './capabilities.ts';
import { consoleTail, startGuest, stopGuest } from './guest.ts';

const [program, kernel, initrd] = await Promise.all([
  realFile('SLUICE_QEMU', 'bin/qemu-system-x86_64'),
  realFile('SLUICE_GUEST_KERNEL', 'guest/vmlinuz'),
  realFile('SLUICE_GUEST_INITRD', 'guest/initrd.gz'),
]);
const skip = program.skip || kernel.skip || initrd.skip;
const host = liveHost();
const home = mkdtempSync(join(tmpdir(), 'sluice-guest-'));
after(() => rmSync(home, { recursive: true }));

test('a real kernel comes up with its own IOMMU groups, answers through the agent and obeys the power button', {
  skip,
  timeout: 300_000,
}, async () => {
  const disk = join(home, 'disk');
  writeFileSync(disk, 'SLUICE-SECTOR-0');
  truncateSync(disk, 2 ** 20);
  const machine: GuestMachine = {
    name: 'guest',
    uuid: `6c1b1d4e-2f1a-4a53-9f4d-${process.pid.toString(16).padStart(12, '0')}`,
    memory: 384 * 2 ** 20,
    vcpus: 1,
    machine: 'q35',
    firmware: 'seabios',
    disks: [{ path: disk, format: 'raw' }],
    kernel: kernel.path,
    initrd: initrd.path,
    append: 'console=ttyS0 panic=-1 no_timer_check intel_iommu=on',
    iommu: 'intel',
    accel: 'tcg',
    devices: [],
    folder: join(home, 'run'),
  };
  const files = guestFiles(machine.folder);
  const built = buildArgv(machine, await readQemu(host.hypervisor, program.path));
  assert.ok(!built.refusals, JSON.stringify(built.refusals));
  try {
    await startGuest(host, { argv: built.argv, uuid: machine.uuid, folder: machine.folder });
    const agent = await connectAgent(host, files.agent, 200_000).catch(async (error: unknown) => {
      throw new Error((await consoleTail(host, files.console, 30)).join('\n'), { cause: error });
    });
    const groups = await agent.exec('/bin/sh', ['-c', 'ls /sys/kernel/iommu_groups; ls /sys/class/iommu']);
    assert.match(Buffer.from(groups.stdout).toString(), /^0\n1\n(?:.*\n)*dmar0\n$/);
    assert.match(Buffer.from(await agent.readFile('/proc/cmdline')).toString(), /intel_iommu=on/);
    // Addresses are those that were chosen, here that of the agent's own controller and the disk.
    const pci = Buffer.from((await agent.exec('/bin/ls', ['/sys/bus/pci/devices'])).stdout).toString();
    assert.match(pci, /^0000:00:04\.0$/m);
    assert.match(pci, /^0000:00:05\.0$/m);
    agent.close();
    assert.match(readFileSync(files.console, 'utf8'), /DMAR: Intel\(R\) Virtualization Technology for Directed I\/O/);
    assert.ok((await consoleTail(host, files.console, 20)).every((line) => !/[^\P{Cc}\t]/u.test(line)));
    const stopped = await stopGuest(host, { ...machine, graceful: 60_000 });
    assert.equal(stopped.by, 'system_powerdown', stopped.notes.join('; '));
  } finally {
    await stopGuest(host, machine);
  }
});
