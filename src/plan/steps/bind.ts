import { blockingMembers } from '../../check/rules/group-viable.ts';
import type { Host } from '../../host/host.ts';
import { driverOf, groupOf, readGroup } from '../../host/iommu.ts';
import { type Binding, StepError, type StepKind, type StepOf } from '../step.ts';
import { refuseOpen } from './open-group.ts';

type Bind = StepOf<'bind'>;

/**
 * Gives a function to another driver: `driver_override`, unbind, bind. `drivers_probe` is not used: it reports success
 * whether or not a driver took the function.
 * Source: Linux Documentation/ABI/testing/sysfs-bus-pci.
 */
export const bind: StepKind<Bind, Binding & { up?: string[] }> = {
  title: (step) => `bind ${step.bdf} to ${step.driver}`,
  changes: (step) => [
    { where: override(step.bdf), from: step.was.driverOverride ?? '(null)', to: step.driver },
    ...(step.was.driver === undefined
      ? []
      : [{ where: `/sys/bus/pci/drivers/${step.was.driver}/unbind`, from: step.was.driver, to: step.bdf }]),
    { where: `/sys/bus/pci/drivers/${step.driver}/bind`, from: 'none', to: step.bdf },
  ],
  async observe(host, step) {
    const now = await binding(host, step.bdf);
    if (now === undefined) throw new StepError(`${step.bdf} is not there`);
    await refuseUnviable(host, step);
    const up = await interfacesUp(host, step.bdf);
    return up.length === 0 ? now : { ...now, up };
  },
  async run(host, step, cx) {
    await host.files.write(override(step.bdf), `${step.driver}\n`);
    await cx.reached(`driver_override of ${step.bdf} written`);
    const driver = await driverOf(host, step.bdf);
    if (driver === step.driver) return;
    if (driver !== undefined) {
      await refuseOpen(host, [step.bdf]);
      await host.files.write(`/sys/bus/pci/drivers/${driver}/unbind`, `${step.bdf}\n`);
      await cx.reached(`${step.bdf} unbound`);
    }
    await host.files.write(`/sys/bus/pci/drivers/${step.driver}/bind`, `${step.bdf}\n`);
    await cx.reached(`${step.bdf} bound`);
    const group = await groupOf(host, step.bdf);
    if (!(await host.files.exists(`/dev/vfio/${group}`)))
      throw new StepError(`${step.bdf} is bound to ${step.driver}, but /dev/vfio/${group} did not appear`);
  },
  async restore(host, step, old, cx) {
    const now = await binding(host, step.bdf);
    if (now === undefined) return undefined;
    const done: string[] = [];
    if (now.driver !== old.driver && now.driver !== undefined) {
      await refuseOpen(host, [step.bdf]);
      await host.files.write(`/sys/bus/pci/drivers/${now.driver}/unbind`, `${step.bdf}\n`);
      done.push(`unbound from ${now.driver}`);
      await cx.reached(`${step.bdf} unbound`);
    }
    if (now.driverOverride !== old.driverOverride) {
      await host.files.write(override(step.bdf), `${old.driverOverride ?? ''}\n`);
      done.push(`driver_override ${old.driverOverride ?? '(null)'}`);
      await cx.reached(`driver_override of ${step.bdf} restored`);
    }
    if (old.driver !== undefined && now.driver !== old.driver) {
      await host.files.write(`/sys/bus/pci/drivers/${old.driver}/bind`, `${step.bdf}\n`);
      done.push(`bound to ${old.driver}`);
      await cx.reached(`${step.bdf} bound again`);
    }
    // Its driver brings the interface back, but down.
    for (const name of old.up ?? []) {
      if (!(await comesBack(host, name))) continue;
      await host.links.setUp(name, true);
      done.push(`${name} up`);
      await cx.reached(`${name} up again`);
    }
    return done.length === 0 ? undefined : `${step.bdf}: ${done.join(', ')}`;
  },
};

function override(bdf: string): string {
  return `/sys/bus/pci/devices/${bdf}/driver_override`;
}

/** Undefined when there is no such function. */
async function binding(host: Host, bdf: string): Promise<Binding | undefined> {
  const written = (await host.files.readText(override(bdf)))?.trim();
  if (written === undefined) return undefined;
  const driver = await driverOf(host, bdf);
  return {
    ...(driver === undefined ? {} : { driver }),
    ...(written === '' || written === '(null)' ? {} : { driverOverride: written }),
  };
}

/** The whole group must be free of host drivers, or VFIO refuses to open it. The group of a new VF is known only now. */
async function refuseUnviable(host: Host, step: Bind): Promise<void> {
  const number = await groupOf(host, step.bdf);
  const group = number === undefined ? undefined : await readGroup(host, number);
  if (group === undefined)
    throw new StepError(`${step.bdf} is in no IOMMU group: vfio-pci would refuse it`, ['turn on the IOMMU']);
  const members = await Promise.all(group.devices.map(async (bdf) => ({ bdf, driver: await driverOf(host, bdf) })));
  const blocking = blockingMembers(members, step.given);
  if (blocking.length > 0)
    throw new StepError(
      `group ${group.number} of ${step.bdf} is not viable: ${blocking.map(({ bdf, driver }) => `${bdf} (driver ${driver})`).join(', ')} is used by the host`,
    );
}

async function interfacesUp(host: Host, bdf: string): Promise<string[]> {
  const names = (await host.files.list(`/sys/bus/pci/devices/${bdf}/net`)) ?? [];
  const links = names.length === 0 ? [] : await host.links.list();
  return links.filter((link) => names.includes(link.name) && link.up).map((link) => link.name);
}

/** Milliseconds for a driver to make its interface, and for the system to name it. */
const PATIENCE = 3000;

/** Whether an interface is there and down, now or soon. */
async function comesBack(host: Host, name: string): Promise<boolean> {
  for (const deadline = host.clock.now() + PATIENCE; host.clock.now() < deadline; await host.clock.sleep(100)) {
    const link = (await host.links.list()).find((candidate) => candidate.name === name);
    if (link !== undefined) return !link.up;
  }
  return false;
}
