import type { Picture } from '../../host/picture.ts';
import type { Verdict } from '../check.ts';
import { configPath, kernelConfig, pass, unknown, withheld } from '../facts.ts';
import type { Problem } from '../problem.ts';

export const vfioModulesMissing: Problem = {
  id: 'vfio-modules-missing',
  title: 'vfio or vfio_iommu_type1 is not loaded, or the cdev/iommufd interface is not built',
  category: 'bind',
  severity: 'blocker',
  at: 'any',
  says: [
    {
      in: 'qemu',
      re: /failed to open \/dev\/vfio\/(vfio|\d+): No such file or directory/,
      example: 'vfio 0000:00:02.0: failed to open /dev/vfio/1: No such file or directory',
      proof: 'rep',
    },
    { in: 'qemu', re: /No available IOMMU models/, example: 'No available IOMMU models', proof: 'src' },
    {
      in: 'qemu',
      re: /\/dev\/iommu does not exist \(is your kernel config missing CONFIG_IOMMUFD\?\)/,
      example: '/dev/iommu does not exist (is your kernel config missing CONFIG_IOMMUFD?)',
      proof: 'seen',
    },
    {
      in: 'qemu',
      re: /CONFIG_VFIO_DEVICE_CDEV/,
      example:
        'failed to load "/sys/bus/pci/devices/0000:02:00.0/vfio-dev/vfio0/dev" (is your kernel config missing CONFIG_VFIO_DEVICE_CDEV?)',
      proof: 'src',
    },
    {
      in: 'qemu',
      re: /([Cc]ould not|[Ff]ailed to) open '?\/dev\/vfio\/[\w/]+'?: No such file or directory/,
      example: "Could not open '/dev/vfio/vfio': No such file or directory",
      proof: 'rep',
    },
    {
      in: 'dpdk',
      re: /[Cc]annot open VFIO container, error 2\b|VFIO support could not be initialized/,
      example: 'EAL: VFIO support could not be initialized',
      proof: 'rep',
    },
  ],
  why: 'Module not loaded, container without the device nodes, or kernel too old (iommufd from 6.2, vfio cdev from 6.6).',
  see: [
    {
      read: '/dev/vfio/vfio, /dev/vfio/<group>, /dev/iommu, {d}/vfio-dev',
      when: 'the one the plan uses is missing',
      sure: 'certain',
    },
    { read: 'kernel config CONFIG_VFIO_IOMMU_TYPE1, CONFIG_VFIO_DEVICE_CDEV, CONFIG_IOMMUFD', when: 'not set', sure: 'certain' },
  ],
  fix: [
    'load vfio-pci and vfio_iommu_type1',
    'choose the legacy backend when iommufd is absent',
    'pass the nodes into the container',
  ],
  beware:
    'On kernels with CONFIG_IOMMUFD_VFIO_CONTAINER /dev/vfio/vfio may be iommufd underneath with different memory accounting.',
  sources: [
    'gh:DualCoder/vgpu_unlock#47',
    'gh:spdk/spdk#1689',
    'gh:nutanix/libvfio-user#53',
    'gh:foxlet/macOS-Simple-KVM#159',
    'qemu-11.1.2',
  ],
  rules: [{ about: 'host', asks: 'Is VFIO there: its driver for PCI, and a way to map memory?', run: there }],
};

const NEEDED = [
  { module: 'vfio_pci', config: 'CONFIG_VFIO_PCI' },
  { module: 'vfio_iommu_type1', config: 'CONFIG_VFIO_IOMMU_TYPE1' },
] as const;

function there(picture: Picture): Verdict {
  const { system, parameters, folders } = picture;
  const nodes = folders['/dev/vfio'];
  const built = NEEDED.map(({ config }) => ({ config, value: kernelConfig(picture, config) }));
  const seen = [
    { where: '/proc/modules', text: system.modules.filter((name) => name.startsWith('vfio')).join(' ') || 'no vfio module' },
    { where: '/dev/vfio', text: nodes?.join(' ') || 'empty or absent' },
    ...(built.some(({ value }) => value !== undefined)
      ? [{ where: configPath(system.kernel), text: built.map(({ config, value }) => `${config}=${value}`).join(' ') }]
      : []),
  ];
  const never = built.filter(({ value }) => value === 'n').map(({ config }) => config);
  if (never.length > 0)
    return {
      is: 'fail',
      because: `the kernel was built without ${never.join(' and ')}`,
      seen,
      fix: ['boot a kernel that has them'],
    };
  // A module that is built in shows its parameters.
  const absent = NEEDED.filter(
    ({ module, config }) =>
      !system.modules.includes(module) && parameters[module] === undefined && kernelConfig(picture, config) !== 'y',
  ).map(({ module }) => module);
  if (absent.length === 0) {
    const hidden = withheld(picture, '/dev/vfio');
    if (hidden !== undefined) return unknown(`the modules are there, and /dev/vfio could not be read: ${hidden}`, ...seen);
    if (nodes === undefined || nodes.length === 0)
      return {
        is: 'fail',
        because: 'the modules are there, and /dev/vfio is empty: this is a container without the nodes, or /dev is not managed',
        seen,
        fix: ['pass /dev/vfio into the container', 'let udev make the nodes'],
      };
    return pass('vfio-pci and the type 1 container are there', ...seen);
  }
  if (system.modules.length === 0 && system.kernel === '') return unknown('the modules were not read', ...seen);
  const names = absent.join(' and ');
  // Drivers are loaded when they are needed: only a kernel without them, or a container, has none.
  if (absent.every((name) => built.find(({ config }) => config === configOf(name))?.value === 'm'))
    return pass(`${names} ${absent.length === 1 ? 'is' : 'are'} not loaded, and this kernel has them as modules`, ...seen);
  return {
    ...unknown(
      `${names} ${absent.length === 1 ? 'is' : 'are'} not loaded, and whether this kernel has them could not be read`,
      ...seen,
    ),
    fix: absent.map((name) => `modprobe ${name.replaceAll('_', name === 'vfio_pci' ? '-' : '_')}`),
  };
}

function configOf(module: string): string | undefined {
  return NEEDED.find((needed) => needed.module === module)?.config;
}
