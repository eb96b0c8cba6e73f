import type { Requirement } from './requirement.ts';
import { AROUND_TEXTS, DOCKER, XR_COMPOSE, XRD_VROUTER_AWS } from './xrd-around.ts';
import { XRD_HOST, XRD_HOST_TEXTS } from './xrd-host.ts';
import { XRD_CONTROL_PLANE, XRD_VROUTER, XRD_VROUTER_TEXTS } from './xrd-vrouter.ts';

/** Requirements of XRd by the name of the vendor's group. */
export const XRD_GROUPS: Readonly<Record<string, readonly Requirement[]>> = {
  base: XRD_HOST,
  'xrd-vrouter': XRD_VROUTER,
  'xrd-control-plane': XRD_CONTROL_PLANE,
  'xrd-vrouter-aws': XRD_VROUTER_AWS,
  docker: DOCKER,
  'xr-compose': XR_COMPOSE,
};

/** Modules that are asked for, by the names of their files. */
export const XRD_MODULES: readonly string[] = ['dummy', 'nf_tables', 'vfio-pci', 'igb_uio'];

/** Every file whose text some requirement asks for. */
export const XRD_TEXTS: readonly string[] = [...XRD_HOST_TEXTS, ...XRD_VROUTER_TEXTS, ...AROUND_TEXTS];
