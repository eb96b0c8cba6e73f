import type { Problem } from '../problem.ts';
import { acsMissingUpstream } from './acs-missing-upstream.ts';
import { acsOverrideActive } from './acs-override-active.ts';
import { amdIvrsBroken } from './amd-ivrs-broken.ts';
import { atsPasidHidden } from './ats-pasid-hidden.ts';
import { bindWithoutOverride } from './bind-without-override.ts';
import { bridgeInGroupFalseAlarm } from './bridge-in-group-false-alarm.ts';
import { bridgeWindowShort } from './bridge-window-short.ts';
import { busResetNeedsAll } from './bus-reset-needs-all.ts';
import { confidentialVfio } from './confidential-vfio.ts';
import { conventionalPciAlias } from './conventional-pci-alias.ts';
import { d3coldStuck } from './d3cold-stuck.ts';
import { dmaEntryLimit } from './dma-entry-limit.ts';
import { dmaFaultNotMapped } from './dma-fault-not-mapped.ts';
import { dmarFirmwareBug } from './dmar-firmware-bug.ts';
import { dmesgIommuEnabledLies } from './dmesg-iommu-enabled-lies.ts';
import { framebufferHoldsBar } from './framebuffer-holds-bar.ts';
import { gpuRomUnreadable } from './gpu-rom-unreadable.ts';
import { groupMultipleAddressSpaces } from './group-multiple-address-spaces.ts';
import { groupNotViable } from './group-not-viable.ts';
import { guestMmio64Window } from './guest-mmio64-window.ts';
import { guestPhysBits } from './guest-phys-bits.ts';
import { hostBarUnassigned } from './host-bar-unassigned.ts';
import { hostCriticalDevice } from './host-critical-device.ts';
import { hostDriverFirst } from './host-driver-first.ts';
import { hugepagesShort } from './hugepages-short.ts';
import { igdHostBridge } from './igd-host-bridge.ts';
import { igpuDmaFaults } from './igpu-dma-faults.ts';
import { interruptSetupFails } from './interrupt-setup-fails.ts';
import { iommuKernelOff } from './iommu-kernel-off.ts';
import { iommuOffInFirmware } from './iommu-off-in-firmware.ts';
import { iommuPtMisread } from './iommu-pt-misread.ts';
import { iovaOutsideAperture } from './iova-outside-aperture.ts';
import { l1KernelIommuOff } from './l1-kernel-iommu-off.ts';
import { l1NoIntremap } from './l1-no-intremap.ts';
import { lockdownBlocksPci } from './lockdown-blocks-pci.ts';
import { memlockLimit } from './memlock-limit.ts';
import { memlockViommuMultiplier } from './memlock-viommu-multiplier.ts';
import { multifunctionSiblings } from './multifunction-siblings.ts';
import { nestedKvmOff } from './nested-kvm-off.ts';
import { nestedNoViommu } from './nested-no-viommu.ts';
import { noInterruptRemapping } from './no-interrupt-remapping.ts';
import { noResetMethod } from './no-reset-method.ts';
import { noiommuMode } from './noiommu-mode.ts';
import { numaRemote } from './numa-remote.ts';
import { nvidiaCode43 } from './nvidia-code-43.ts';
import { p2pBarMapWarning } from './p2p-bar-map-warning.ts';
import { pfHasVfs } from './pf-has-vfs.ts';
import { pfLinkDown } from './pf-link-down.ts';
import { ramDiscardConflict } from './ram-discard-conflict.ts';
import { reservedIovaOverlap } from './reserved-iova-overlap.ts';
import { resetIncomplete } from './reset-incomplete.ts';
import { rmrrLocked } from './rmrr-locked.ts';
import { snpNeedsTranslation } from './snp-needs-translation.ts';
import { sriovBusRange } from './sriov-bus-range.ts';
import { sriovChangeNonzero } from './sriov-change-nonzero.ts';
import { sriovMmioExhausted } from './sriov-mmio-exhausted.ts';
import { sriovMsixExhausted } from './sriov-msix-exhausted.ts';
import { sriovNoPfDriver } from './sriov-no-pf-driver.ts';
import { sriovNotOffered } from './sriov-not-offered.ts';
import { sriovTotalExceeded } from './sriov-total-exceeded.ts';
import { sriovVfsInUse } from './sriov-vfs-in-use.ts';
import { untrustedDevice } from './untrusted-device.ts';
import { vfCreationRace } from './vf-creation-race.ts';
import { vfHostDriverClaims } from './vf-host-driver-claims.ts';
import { vfMacZero } from './vf-mac-zero.ts';
import { vfTokenNeeded } from './vf-token-needed.ts';
import { vfTrustSpoof } from './vf-trust-spoof.ts';
import { vfioDenylist } from './vfio-denylist.ts';
import { vfioGroupBusy } from './vfio-group-busy.ts';
import { vfioModulesMissing } from './vfio-modules-missing.ts';
import { vfioPermissions } from './vfio-permissions.ts';
import { viommuAmd } from './viommu-amd.ts';
import { viommuAwBits } from './viommu-aw-bits.ts';
import { viommuCachingMode } from './viommu-caching-mode.ts';
import { viommuDeviceOrder } from './viommu-device-order.ts';
import { viommuFirstStageBackend } from './viommu-first-stage-backend.ts';
import { viommuHotplug } from './viommu-hotplug.ts';
import { viommuIrqchip } from './viommu-irqchip.ts';
import { viommuMachineType } from './viommu-machine-type.ts';
import { viommuMapCost } from './viommu-map-cost.ts';
import { viommuMigration } from './viommu-migration.ts';
import { viommuOptionRenamed } from './viommu-option-renamed.ts';
import { viommuSmp255 } from './viommu-smp-255.ts';
import { viommuVhostIotlb } from './viommu-vhost-iotlb.ts';
import { virtioIommuGranule } from './virtio-iommu-granule.ts';
import { virtioIommuNoDriver } from './virtio-iommu-no-driver.ts';
import { vmdHidden } from './vmd-hidden.ts';
import { x2apicOptOut } from './x2apic-opt-out.ts';

/** Every known problem, by category. */
export const PROBLEMS: readonly Problem[] = [
  iommuOffInFirmware,
  iommuKernelOff,
  dmesgIommuEnabledLies,
  iommuPtMisread,
  noInterruptRemapping,
  x2apicOptOut,
  dmarFirmwareBug,
  amdIvrsBroken,
  igpuDmaFaults,
  dmaFaultNotMapped,
  groupNotViable,
  bridgeInGroupFalseAlarm,
  multifunctionSiblings,
  acsMissingUpstream,
  acsOverrideActive,
  conventionalPciAlias,
  groupMultipleAddressSpaces,
  rmrrLocked,
  vmdHidden,
  vfioDenylist,
  bindWithoutOverride,
  hostDriverFirst,
  hostCriticalDevice,
  framebufferHoldsBar,
  vfioModulesMissing,
  vfioGroupBusy,
  interruptSetupFails,
  vfioPermissions,
  lockdownBlocksPci,
  noiommuMode,
  noResetMethod,
  busResetNeedsAll,
  d3coldStuck,
  resetIncomplete,
  memlockLimit,
  memlockViommuMultiplier,
  dmaEntryLimit,
  iovaOutsideAperture,
  reservedIovaOverlap,
  p2pBarMapWarning,
  ramDiscardConflict,
  hugepagesShort,
  numaRemote,
  guestMmio64Window,
  guestPhysBits,
  hostBarUnassigned,
  bridgeWindowShort,
  untrustedDevice,
  sriovChangeNonzero,
  sriovNoPfDriver,
  sriovNotOffered,
  sriovTotalExceeded,
  sriovMsixExhausted,
  sriovMmioExhausted,
  sriovBusRange,
  sriovVfsInUse,
  vfHostDriverClaims,
  vfCreationRace,
  vfMacZero,
  vfTrustSpoof,
  pfLinkDown,
  vfTokenNeeded,
  pfHasVfs,
  nestedNoViommu,
  l1KernelIommuOff,
  l1NoIntremap,
  viommuCachingMode,
  viommuIrqchip,
  viommuSmp255,
  viommuMachineType,
  viommuDeviceOrder,
  viommuAwBits,
  viommuOptionRenamed,
  viommuFirstStageBackend,
  viommuAmd,
  virtioIommuNoDriver,
  virtioIommuGranule,
  viommuMapCost,
  viommuHotplug,
  viommuMigration,
  viommuVhostIotlb,
  nestedKvmOff,
  nvidiaCode43,
  gpuRomUnreadable,
  igdHostBridge,
  snpNeedsTranslation,
  confidentialVfio,
  atsPasidHidden,
];
