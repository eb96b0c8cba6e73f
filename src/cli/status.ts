import { listApplied } from '../plan/status.ts';
import type { Run } from './command.ts';
import { EXIT, UsageError } from './exit.ts';
import { table } from './output.ts';
import type { StatusReport } from './reports.ts';

export const run: Run<'status'> = async (_, cx) => {
  const report: StatusReport = {
    schema: 'sluice/status/1',
    state: cx.state,
    vms: await listApplied(await cx.machine(), cx.state),
  };
  cx.print(report, ({ vms, state }, page) => {
    if (vms.length === 0) return `No VM is applied (journals are kept in ${state}).`;
    const rows = vms.map((vm) => [
      vm.name,
      vm.state,
      vm.pid === undefined ? 'not running' : `pid ${vm.pid}`,
      vm.devices.join(' '),
    ]);
    return `${table(page, ['name', 'state', 'guest', 'devices'], rows)}\n${vms.length === 1 ? 'One VM is' : `${vms.length} VMs are`} applied.`;
  });
  return EXIT.ok;
};

/** A name becomes a folder: it must not lead anywhere else. */
export function checkName(name: string): void {
  if (!/^[a-z0-9][a-z0-9._-]{0,62}$/.test(name))
    throw new UsageError(`${name} is no name of a VM`, "'sluice status' lists those that are applied.");
}
