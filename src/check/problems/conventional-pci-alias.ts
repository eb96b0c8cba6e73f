import type { PciFunction } from '../../host/functions.ts';
import type { Picture } from '../../host/picture.ts';
import { portType } from '../../pci/index.ts';
import type { Verdict } from '../check.ts';
import { at, isBridge, listed, notApplicable, ofEndpoints, pass, unknown } from '../facts.ts';
import { bridgesAbove, configOf, once } from '../index-of.ts';
import type { Problem } from '../problem.ts';

export const conventionalPciAlias: Problem = {
  id: 'conventional-pci-alias',
  title: "Devices behind a PCIe-to-PCI bridge all carry the bridge's requester id",
  category: 'group',
  severity: 'blocker',
  at: 'any',
  says: [
    {
      in: 'qemu',
      re: /virtio-iommu does not support aliased BDF/,
      example: 'virtio_iommu_find_add_as virtio-iommu does not support aliased BDF',
      proof: 'src',
    },
    {
      in: 'qemu',
      re: /Host device downstream to a PCI bridge is unsupported when (x-flts|flts|fsts)=on/,
      example: 'vfio 0000:02:00.0: Failed to set vIOMMU: Host device downstream to a PCI bridge is unsupported when fsts=on',
      proof: 'src',
    },
  ],
  why: 'A conventional bus carries no requester id; the bridge substitutes (secondary bus, 00.0) or its own. The IOMMU cannot tell the devices apart, so they are one group, on the host and in a guest alike.',
  see: [
    {
      read: 'config space of each bridge above {d}: PCIe capability device/port type',
      when: 'type 7 (PCIe-to-PCI) or no PCIe capability on a bridge below the root',
      sure: 'certain',
    },
  ],
  fix: [
    'use a PCIe device',
    'assign the whole bus',
    'guest: put vfio devices on pcie-root-ports, not on pci-bridge / pcie-pci-bridge',
  ],
  beware:
    'With a caching-mode vIOMMU a pcie-pci-bridge is sometimes used ON PURPOSE to give two functions of one host group one guest address space (see group-multiple-address-spaces); the two cases pull in opposite directions.',
  sources: [
    'gh:kata-containers/kata-containers#1726',
    'gh:kata-containers/kata-containers#2899',
    'gh:lf-edge/eve#2544',
    'qemu:hw/virtio/virtio-iommu.c',
    'qemu-11.1.2',
    'linux:drivers/pci/search.c pci_for_each_dma_alias',
  ],
  rules: [{ about: 'function', asks: 'Does its DMA carry a requester id of its own?', run: ofEndpoints(own) }],
};

/** Whether a bridge puts its own requester id in place of those behind it; undefined when that could not be read. */
function substitutes(bridge: PciFunction): boolean | undefined {
  // That driver takes ports of PCI Express alone.
  if (bridge.driver === 'pcieport') return false;
  const config = configOf(bridge);
  if (config === undefined || config.findings.some(({ is }) => is === 'short' || is === 'absent')) return undefined;
  const type = portType(config);
  return type === undefined || type === 'bridgeToPci';
}

interface Aliases {
  /** By function: the highest bridge above it that substitutes, or `unread` with the one that could not be asked. */
  of: ReadonlyMap<string, { bridge: PciFunction } | { unread: PciFunction }>;
  /** Endpoints by that bridge. */
  behind: ReadonlyMap<string, readonly PciFunction[]>;
}

const aliases: (picture: Picture) => Aliases = once((picture) => {
  const of = new Map<string, { bridge: PciFunction } | { unread: PciFunction }>();
  const behind = new Map<string, PciFunction[]>();
  for (const found of picture.functions) {
    const above = isBridge(found) ? [] : bridgesAbove(picture, found);
    const bridge = above.findLast((one) => substitutes(one) === true);
    const unread = above.find((one) => substitutes(one) === undefined);
    if (bridge === undefined) {
      if (unread !== undefined) of.set(found.bdf, { unread });
      continue;
    }
    of.set(found.bdf, { bridge });
    const list = behind.get(bridge.bdf);
    if (list === undefined) behind.set(bridge.bdf, [found]);
    else list.push(found);
  }
  return { of, behind };
});

function own(picture: Picture, found: PciFunction): Verdict {
  const { of, behind } = aliases(picture);
  const alias = of.get(found.bdf);
  if (alias === undefined) return notApplicable('no bridge to conventional PCI is above it');
  if ('unread' in alias)
    return unknown(
      `whether ${alias.unread.bdf} above it is a bridge to conventional PCI is in its configuration space: look as root`,
      {
        where: at(alias.unread, 'config'),
        text: `${alias.unread.config?.length ?? 0} bytes`,
      },
    );
  const { bridge } = alias;
  const type = configOf(bridge);
  const seen = [
    {
      where: at(bridge, 'config'),
      text: type !== undefined && portType(type) === 'bridgeToPci' ? 'Device/Port Type bridgeToPci' : 'no PCI Express Capability',
    },
  ];
  const others = (behind.get(bridge.bdf) ?? []).filter(({ bdf }) => bdf !== found.bdf);
  if (others.length === 0)
    return pass(`its DMA carries the requester id of ${bridge.bdf}, and nothing else is behind that bridge`, ...seen);
  return {
    is: 'fail',
    because: `its DMA carries the requester id of ${bridge.bdf}, as does that of ${listed(others.map(({ bdf }) => bdf))}: no unit can tell them apart`,
    seen,
  };
}
