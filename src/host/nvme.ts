import {
  CNS,
  decodeStatus,
  identify,
  readIdentifyController,
  readIdentifyNamespace,
  readPrimaryCapabilities,
  readSecondaryControllers,
  SECONDARY_CONTROLLERS,
  type SecondaryController,
  virtualizationManagement,
} from '../nvme/index.ts';
import { type Host, HostError } from './host.ts';
import { parseCount } from './parse.ts';

/** What a primary controller can give to its secondary ones, and what they have. */
export interface NvmeVirtualization {
  /** Flexible resources that are there for the secondary controllers: all less what the primary one keeps. */
  flexible: { vq: number; vi: number };
  /** What one secondary controller may have of them. */
  most: { vq: number; vi: number };
  secondaries: SecondaryController[];
  /** Namespaces of the primary one, with their block devices. A shared one may be attached to a secondary controller too. */
  namespaces: { nsid: number; device: string; shared: boolean }[];
}

/**
 * Asks a primary controller. Undefined when it has no Virtualization Management. That of QEMU 7.2 has it although OACS bit 7
 * is 0 (NVMe Base 2.0 Figure 275), so where the bit is clear a list of secondary controllers counts.
 * @param controller name such as `nvme0`
 * @throws HostError when it cannot be asked, or refuses what it said it has
 */
export async function readNvmeVirtualization(host: Host, controller: string): Promise<NvmeVirtualization | undefined> {
  const path = `/dev/${controller}`;
  const about = readIdentifyController(await ask(host, path, identify(CNS.controller)));
  if (about === undefined) throw new HostError(path, 'Identify gave too little');
  try {
    const found = await readPrimary(host, controller, about.CNTLID);
    return about.VirtualizationManagement || found.secondaries.length > 0 ? found : undefined;
  } catch (error) {
    if (!about.VirtualizationManagement && error instanceof HostError) return undefined;
    throw error;
  }
}

async function readPrimary(host: Host, controller: string, cntid: number): Promise<NvmeVirtualization> {
  const path = `/dev/${controller}`;
  const capabilities = readPrimaryCapabilities(await ask(host, path, identify(CNS.primaryCapabilities, { cntid })));
  if (capabilities === undefined) throw new HostError(path, 'its Primary Controller Capabilities are too short');
  const { VQFRT, VQRFAP, VQFRSM, VIFRT, VIRFAP, VIFRSM } = capabilities;
  const namespaces = [];
  for (const one of await namespacesOf(host, controller)) {
    const about = readIdentifyNamespace(await ask(host, path, identify(CNS.namespace, { nsid: one.nsid })));
    if (about === undefined) throw new HostError(path, `Identify of namespace ${one.nsid} gave too little`);
    namespaces.push({ ...one, shared: about.Shared === 1 });
  }
  return {
    flexible: { vq: VQFRT - VQRFAP, vi: VIFRT - VIRFAP },
    // A controller that gives no limit has none but its total.
    most: { vq: VQFRSM || VQFRT, vi: VIFRSM || VIFRT },
    secondaries: await readSecondaries(host, path),
    namespaces,
  };
}

/** All secondary controllers of a primary one. @param path such as `/dev/nvme0` */
export async function readSecondaries(host: Host, path: string): Promise<SecondaryController[]> {
  const all: SecondaryController[] = [];
  for (let next = 0; ; ) {
    const some = readSecondaryControllers(await ask(host, path, identify(CNS.secondaryControllers, { cntid: next })));
    all.push(...some.filter((one) => one.scid >= next));
    const last = all.at(-1)?.scid;
    if (some.length < SECONDARY_CONTROLLERS || last === undefined || last < next) return all;
    next = last + 1;
  }
}

/** Virtualization Management of a secondary controller. @throws HostError with the controller's answer */
export async function manageSecondary(
  host: Host,
  path: string,
  ...command: Parameters<typeof virtualizationManagement>
): Promise<void> {
  await ask(host, path, virtualizationManagement(...command));
}

async function ask(host: Host, path: string, command: ReturnType<typeof identify>): Promise<Uint8Array> {
  const { status, data } = await host.nvme.admin(path, command);
  const { ok, says } = decodeStatus(status);
  if (!ok)
    throw new HostError(
      path,
      `the controller answered ${says} (status 0x${status.toString(16)}) to admin command 0x${command.opcode.toString(16)}`,
    );
  return data;
}

/** Namespaces of a controller with their block devices. With multipath the node is `nvme0n1` and the path `nvme0c1n1`. */
export async function namespacesOf(host: Host, controller: string): Promise<{ nsid: number; device: string }[]> {
  const at = `/sys/class/nvme/${controller}`;
  const found: { nsid: number; device: string }[] = [];
  for (const name of (await host.files.list(at)) ?? []) {
    if (!/^nvme\d+(c\d+)?n\d+$/.test(name)) continue;
    const nsid = parseCount(await host.files.readText(`${at}/${name}/nsid`), `${at}/${name}/nsid`);
    if (nsid !== undefined) found.push({ nsid, device: `/dev/${name.replace(/c\d+n/, 'n')}` });
  }
  return found;
}
