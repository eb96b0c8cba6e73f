import { HostError } from '../../host/host.ts';
import type { StepKind, StepOf } from '../step.ts';

type LoadModule = StepOf<'load-module'>;

/** Modules that come along with vfio-pci, and nothing else's. */
const COMPANIONS = /^(vfio|iommufd$|irqbypass$)/;

export const loadModule: StepKind<LoadModule, { loaded: string[] }> = {
  title: (step) => `load module ${step.module}`,
  changes: (step) => [{ where: `modprobe ${step.module}`, from: 'not loaded', to: 'loaded' }],
  observe: async (host) => ({ loaded: await host.modules.loaded() }),
  async run(host, step, cx) {
    await host.modules.load(step.module);
    await cx.reached('module loaded');
  },
  async restore(host, step, old, cx) {
    // A bound function holds no reference to its driver's module: it would be unbound with it.
    const users = ((await host.files.list(`/sys/bus/pci/drivers/${step.module}`)) ?? []).filter((name) => name.includes(':'));
    if (users.length > 0) return undefined;
    const before = new Set(old.loaded);
    const removed: string[] = [];
    // A module goes only after those that use it: go round until none goes any more.
    for (let progress = true; progress; ) {
      progress = false;
      for (const name of await host.modules.loaded()) {
        if (before.has(name) || (!COMPANIONS.test(name) && name !== step.module.replaceAll('-', '_'))) continue;
        try {
          await host.modules.unload(name);
        } catch (error) {
          if (!(error instanceof HostError)) throw error;
          continue;
        }
        removed.push(name);
        progress = true;
        await cx.reached(`module ${name} unloaded`);
      }
    }
    return removed.length === 0 ? undefined : `unloaded ${removed.join(', ')}`;
  },
};
