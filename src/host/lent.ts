import { PCI_DEVICES, type PciFunction } from './functions.ts';
import type { Host } from './host.ts';
import type { Usage } from './usage.ts';

/** Class code without the programming interface: Ethernet controller. */
const ETHERNET = 0x0200;
/** They hand a function to a program of user space or to a guest, and make no interface. */
const NO_INTERFACE = /vfio|^(uio_pci_generic|igb_uio|pci-stub|xen-pciback|pcieport)$/;

/**
 * Ethernet functions with a driver whose interface is not here: `net/` shows only interfaces of our own network namespace, so
 * one that was lent to a container leaves it empty. The same is seen where a driver makes no interface (RDMA alone, or a link
 * type switched off), so only what a driver does for another function here is proof; otherwise it stays uncertain, and so does
 * that function. Source: Linux net/core/net-sysfs.c, which tags the class net with the namespace.
 */
export async function readLent(
  host: Host,
  functions: readonly PciFunction[],
): Promise<{ lent: Usage[]; uncertain: { what: string; because: string; about: string[] }[] }> {
  const makers = new Set(functions.filter((found) => found.interfaces.length > 0).map(({ driver }) => driver));
  const lent: Usage[] = [];
  const uncertain: { what: string; because: string; about: string[] }[] = [];
  for (const { bdf, class: code, driver, interfaces } of functions) {
    if (code >> 8 !== ETHERNET || driver === undefined || NO_INTERFACE.test(driver) || interfaces.length > 0) continue;
    if (await virtioAnswers(host, bdf)) continue;
    const where = `${PCI_DEVICES}/${bdf}/net`;
    if (makers.has(driver)) lent.push({ bdf, kind: 'namespace', what: driver, where });
    else
      uncertain.push({
        what: `the interface of ${bdf}`,
        because: `${driver} has it, and no interface of it is here: it may be in another network namespace (a container)`,
        about: [bdf],
      });
  }
  return { lent, uncertain };
}

/**
 * virtio-pci has no interface: virtio_net makes it on the virtio device below. True when it is there, or when nothing drives
 * that device and so nothing made one.
 */
async function virtioAnswers(host: Host, bdf: string): Promise<boolean> {
  const at = `${PCI_DEVICES}/${bdf}`;
  const below = ((await host.files.list(at)) ?? []).find((name) => /^virtio\d+$/.test(name));
  if (below === undefined) return false;
  if (!(await host.files.exists(`${at}/${below}/driver`))) return true;
  return ((await host.files.list(`${at}/${below}/net`)) ?? []).length > 0;
}
