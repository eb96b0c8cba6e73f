import { type Host, HostError } from '../host/host.ts';
import { type Picture, readPicture } from '../host/picture.ts';
import { readQemu } from '../qemu/index.ts';
import { claimedFunctions, readJournal, stateOf } from './journal.ts';
import type { PlanInput, Planned, Refusal } from './plan.ts';
import { plan } from './planner.ts';
import type { VmSpec } from './spec.ts';

/** Where distributions put OVMF: code and template of its variables. */
const OVMF: readonly { code: string; vars: string }[] = [
  { code: '/usr/share/OVMF/OVMF_CODE_4M.fd', vars: '/usr/share/OVMF/OVMF_VARS_4M.fd' },
  { code: '/usr/share/OVMF/OVMF_CODE.fd', vars: '/usr/share/OVMF/OVMF_VARS.fd' },
  { code: '/usr/share/edk2/ovmf/OVMF_CODE.fd', vars: '/usr/share/edk2/ovmf/OVMF_VARS.fd' },
  { code: '/usr/share/edk2/x64/OVMF_CODE.4m.fd', vars: '/usr/share/edk2/x64/OVMF_VARS.4m.fd' },
];

/**
 * Reads what a plan needs of a host, and plans. Nothing is changed.
 * @param spec with absolute file names
 * @throws HostError when the host cannot be read or QEMU is missing; JournalError when a journal of that name is damaged
 */
export async function readAndPlan(host: Host, spec: VmSpec, specFile: string, stateFolder: string): Promise<Planned> {
  const already = await refuseApplied(host, spec.name, specFile, stateFolder);
  if (already !== undefined) return { refusals: [already] };
  return plan(await readPlanInput(host, spec, specFile, stateFolder));
}

/**
 * Reads what a plan needs of a host.
 * @param seen the host as it was read already; it is read anew when absent
 * @throws HostError when the host cannot be read or QEMU is missing; JournalError when a journal of that name is damaged
 */
export async function readPlanInput(
  host: Host,
  spec: VmSpec,
  specFile: string,
  stateFolder: string,
  seen?: Picture,
): Promise<PlanInput> {
  const [picture, qemu] = await Promise.all([seen ?? readPicture(host), readQemu(host.hypervisor)]);
  const missingFiles: string[] = [];
  for (const file of [spec.disk, spec.kernel, spec.initrd])
    if (file !== undefined && !(await isThere(host, file))) missingFiles.push(file);
  const claimed = await claimedFunctions(host, stateFolder, picture.system.bootId);
  const input: PlanInput = { spec, specFile, picture, qemu, stateFolder, claimed, missingFiles };
  if (spec.firmware === 'ovmf') {
    for (const ovmf of OVMF)
      if (input.ovmf === undefined && (await isThere(host, ovmf.code)) && (await isThere(host, ovmf.vars))) input.ovmf = ovmf;
  }
  return input;
}

/** A record of a host does not know the files of a VM: they are taken to be there, as they must be when it is applied. */
async function isThere(host: Host, file: string): Promise<boolean> {
  try {
    return await host.files.exists(file);
  } catch (error) {
    if (error instanceof HostError && error.errno === 'ENODATA') return true;
    throw error;
  }
}

/** What is read of a host where the VM is applied is its own work: a plan from that would name the VM itself as an obstacle. */
async function refuseApplied(host: Host, name: string, file: string, stateFolder: string): Promise<Refusal | undefined> {
  const path = stateOf(stateFolder, name).journal;
  const journal = await readJournal(host, path);
  if (journal === undefined) return undefined;
  return {
    id: 'spec/applied',
    asks: 'Is the name free?',
    bdf: '',
    at: { file, line: 1, column: 1 },
    is: 'fail',
    because: journal.applied ? `${name} is applied already` : `${name} was begun by an apply that did not finish`,
    seen: [{ where: path, text: `steps begun: ${journal.begun.size} of ${journal.head.steps.length}` }],
    fix: [`sluice revert ${name}`],
  };
}

/** @throws HostError when the process may not change this host: steps need root */
export async function requireRoot(host: Host): Promise<void> {
  const uid = /^Uid:\s+\d+\s+(\d+)/m.exec((await host.files.readText('/proc/self/status')) ?? '')?.[1];
  if (uid !== '0')
    throw new HostError(
      'apply and revert',
      `they change the host and need root; this is user ${uid ?? '?'}. Run them with sudo; plan shows every change first`,
    );
}
