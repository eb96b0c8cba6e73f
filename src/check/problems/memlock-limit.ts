import type { Verdict } from '../check.ts';
import { chargedAgain, lockedMemory } from '../limits/vm-limits.ts';
import type { Problem } from '../problem.ts';

const COVERED: Verdict = {
  is: 'not-applicable',
  because: 'memory is charged several times: see memlock-viommu-multiplier',
  seen: [],
};

export const memlockLimit: Problem = {
  id: 'memlock-limit',
  title: 'The locked-memory limit is lower than guest RAM',
  category: 'memory',
  severity: 'blocker',
  at: 'any',
  says: [
    {
      in: 'qemu',
      re: /VFIO_MAP_DMA failed: Cannot allocate memory/,
      example: 'VFIO_MAP_DMA failed: Cannot allocate memory',
      proof: 'rep',
    },
    {
      in: 'qemu',
      re: /vfio(_container)?_dma_map\([^)]*\) = -12 \(Cannot allocate memory\)/,
      example:
        'memory listener initialization failed: Region pc.ram: vfio_container_dma_map(0x55, 0x0, 0x80000000, 0x7f) = -12 (Cannot allocate memory)',
      proof: 'src',
    },
    {
      in: 'kernel',
      re: /vfio_pin_pages_remote: RLIMIT_MEMLOCK \(\d+\) exceeded/,
      example: 'vfio_pin_pages_remote: RLIMIT_MEMLOCK (65536) exceeded',
      proof: 'src',
    },
    {
      in: 'kernel',
      re: /RLIMIT_MEMLOCK \(\d+\) exceeded|vfio_pin_pages failed, ret -12\b/,
      example: 'vfio_pin_page_external: Task qemu-system-x86 (575712) RLIMIT_MEMLOCK (1048576) exceeded',
      proof: 'src',
    },
    {
      in: 'qemu',
      re: /(VFIO_MAP_DMA|IOMMU_IOAS_MAP)( failed)?: (-12\b|Cannot allocate memory)/,
      example: 'IOMMU_IOAS_MAP failed: Cannot allocate memory',
      proof: 'src',
    },
    {
      in: 'dpdk',
      re: /[Cc]annot set up DMA remapping, error 12\b/,
      example: 'EAL: Cannot set up DMA remapping, error 12 (Cannot allocate memory)',
      proof: 'rep',
    },
    {
      in: 'qemu',
      re: /\bENOMEM(?=.{0,80}(iommufd|IOAS|VFIO|BAR))/,
      example: 'iommufd: ENOMEM while BAR 2 was mapped',
      proof: 'rep',
    },
    {
      in: 'qemu',
      re: /vfio: DMA(?= mapping failed, unable to continue)/,
      example: 'hardware error: vfio: DMA mapping failed, unable to continue',
      proof: 'src',
    },
  ],
  why: 'All guest RAM is pinned for DMA and charged to the process. CAP_IPC_LOCK lifts the limit.',
  see: [
    {
      read: '/proc/<launcher>/limits Max locked memory (or prlimit of the service), CapEff bit 14',
      when: 'limit < guest RAM (maximum incl. hot-plug) + 1 GiB and no CAP_IPC_LOCK',
      sure: 'certain',
    },
    { read: 'MemAvailable of /proc/meminfo and cgroup memory.max', when: 'below guest RAM', sure: 'certain' },
  ],
  fix: [
    'set it where the VM is really started: LimitMEMLOCK= of the unit, libvirt <memtune><hard_limit>, limits.conf for user sessions',
    'hugepages: still charged for the legacy backend, so raise anyway',
  ],
  beware:
    'libvirt computes it by itself for its own devices, but not for devices added with <qemu:commandline> or by sidecars. ulimit in a shell does not reach a systemd service. iommufd also charges device BARs on some kernels.',
  sources: [
    'gh:cloud-hypervisor/cloud-hypervisor#165',
    'gh:kubevirt/kubevirt#8472',
    'gh:intel/gvt-linux#78',
    'gh:Silfalion/Iphone_docker_osx_passthrough#3',
    'gh:seapath/meta-seapath#166',
    'gh:NVIDIA/NV-Kernels#249',
    'linux:drivers/vfio/vfio_iommu_type1.c',
  ],
  rules: [
    {
      about: 'vm',
      asks: 'May QEMU lock what its VFIO devices need?',
      run: (vm, picture) => (chargedAgain(vm) ? COVERED : lockedMemory(vm, picture)),
    },
  ],
};
