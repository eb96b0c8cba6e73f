import { functionOf, type Picture } from '../../host/picture.ts';
import type { Verdict } from '../check.ts';
import { notApplicable, ofEndpoints, pass, unknown } from '../facts.ts';
import type { Problem } from '../problem.ts';
import { interruptsRemapped } from '../rules/interrupts-remapped.ts';
import type { Vm } from '../vm.ts';

export const noInterruptRemapping: Problem = {
  id: 'no-interrupt-remapping',
  title: 'VFIO refuses the group because the platform has no interrupt remapping',
  category: 'platform',
  severity: 'blocker',
  at: 'any',
  says: [
    {
      in: 'kernel',
      re: /No interrupt remapping\b( support)?|Use the module param "allow_unsafe_interrupts"/,
      example:
        'vfio_iommu_type1_attach_group: No interrupt remapping support.  Use the module param "allow_unsafe_interrupts" to enable VFIO IOMMU support on this platform',
      proof: 'src',
    },
    {
      in: 'qemu',
      re: /Failed to set iommu for container: Operation not permitted/,
      example: 'failed to setup container for group 2: Failed to set iommu for container: Operation not permitted',
      proof: 'rep',
    },
    {
      in: 'kernel',
      re: /MSI interrupts are not secure, they cannot be isolated by the platform/,
      example:
        'vfio-pci 0000:01:00.0: MSI interrupts are not secure, they cannot be isolated by the platform. Check that platform features like interrupt remapping are enabled.',
      proof: 'src',
    },
    {
      in: 'kernel',
      re: /Failed to enable irq remapping\.\s+You are vulnerable to irq-injection/,
      example: 'DMAR-IR: Failed to enable irq remapping. You are vulnerable to irq-injection attacks.',
      proof: 'src',
    },
    {
      in: 'dpdk',
      re: /cannot set IOMMU type, error 1\b/,
      example: 'EAL: 0000:03:00.0 cannot set IOMMU type, error 1 (Operation not permitted)',
      proof: 'rep',
    },
  ],
  why: 'Without remapping a guest can write any MSI message by DMA to FEEx_xxxx and inject vectors into the host. Causes: ECAP.IR=0, DMAR flag INTR_REMAP clear, intremap=off, an IOAPIC outside every DRHD scope, kernel without CONFIG_IRQ_REMAP, or in a guest a vIOMMU without intremap=on.',
  see: [
    { read: 'DMAR table header flags bit 0 (INTR_REMAP)', when: '0', sure: 'certain' },
    { read: '/sys/class/iommu/dmar*/intel-iommu/ecap bit 3 (IR), every unit', when: '0 on any unit', sure: 'certain' },
    {
      read: 'dmesg',
      when: 'no "DMAR-IR: Enabled IRQ remapping" (Intel) or "AMD-Vi: Interrupt remapping enabled"',
      sure: 'likely',
    },
    { read: '/proc/interrupts chip names', when: 'no IR-PCI-MSI / IR-IO-APIC / DMAR-MSI name', sure: 'likely' },
    { read: '/proc/cmdline', when: 'has intremap=off or noapic', sure: 'certain' },
  ],
  fix: [
    'enable it in firmware / give the vIOMMU intremap=on with a split irqchip',
    'remove intremap=off',
    'last resort, single-tenant only: vfio_iommu_type1.allow_unsafe_interrupts=1, and say that the guest may then inject interrupts',
  ],
  beware:
    'Many guides set allow_unsafe_interrupts unconditionally; report it as a risk when it is Y although remapping works. The iommufd backend has its OWN parameter (iommufd.allow_unsafe_interrupts) and refuses with a bare EPERM and no log line; it logs only when overridden.',
  sources: [
    'gh:NixOS/nixpkgs#6264',
    'gh:geerlingguy/raspberry-pi-pcie-devices#754',
    'gh:cloud-hypervisor/cloud-hypervisor#119',
    'linux:drivers/vfio/vfio_iommu_type1.c',
    'linux:drivers/iommu/intel/irq_remapping.c',
  ],
  rules: [
    {
      about: 'function',
      asks: interruptsRemapped.asks,
      run: ofEndpoints((picture, { bdf }) => interruptsRemapped.run(picture, bdf)),
    },
    {
      about: 'vm',
      asks: 'Does each way into VFIO that it takes do without interrupt remapping, where there is none?',
      run: allowed,
    },
  ],
};

/** Containers and iommufd each have a parameter of their own, and one does not speak for the other. */
function allowed(vm: Vm, picture: Picture): Verdict {
  if (vm.hostDevices.length === 0) return notApplicable('it has no host devices');
  // What allows to do without is asked for each backend below.
  const strict = { ...picture, parameters: {} };
  const seen = [];
  const refused = [];
  const unread = [];
  for (const { bdf, pf, backend } of vm.hostDevices) {
    const named = [bdf, pf].find((one) => one !== undefined && functionOf(picture, one) !== undefined);
    const verdict = named === undefined ? undefined : interruptsRemapped.run(strict, named);
    if (verdict?.is === 'pass') continue;
    if (verdict?.is !== 'fail') {
      unread.push(verdict === undefined ? `${bdf ?? 'a host device'} is no function of this host` : verdict.because);
      continue;
    }
    const module = backend === 'iommufd' ? 'iommufd' : 'vfio_iommu_type1';
    const value = picture.parameters[module]?.allow_unsafe_interrupts;
    seen.push(...verdict.seen, { where: `/sys/module/${module}/parameters/allow_unsafe_interrupts`, text: value ?? 'not there' });
    if (value === 'Y') continue;
    refused.push(
      backend === 'iommufd'
        ? `${bdf}: iommufd refuses to bind it with EPERM, and the kernel prints no line (${verdict.because})`
        : `${bdf}: its container refuses the IOMMU with EPERM (${verdict.because})`,
    );
  }
  if (refused.length > 0) return { is: 'fail', because: refused.join('; '), seen };
  if (unread.length > 0) return unknown(unread.join('; '), ...seen);
  return pass(
    seen.length === 0 ? 'interrupts of all its devices are remapped' : 'interrupts are not remapped, and that is allowed',
    ...seen,
  );
}
