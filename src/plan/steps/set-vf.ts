import type { Host, VfSettings } from '../../host/host.ts';
import { StepError, type StepKind, type StepOf } from '../step.ts';

type SetVf = StepOf<'set-vf'>;
type Settings = Required<VfSettings>;

export const setVf: StepKind<SetVf, { settings: Settings }> = {
  title: (step) =>
    `set VF ${step.vf} of ${step.interface}: ${entries(step.settings)
      .map(([key, value]) => `${key} ${print(value)}`)
      .join(', ')}`,
  changes: (step) =>
    entries(step.settings).map(([key, value]) => ({
      where: `ip link set dev ${step.interface} vf ${step.vf} ${key}`,
      from: step.was?.[key] === undefined ? 'as the new VF comes' : print(step.was[key]),
      to: print(value),
    })),
  async observe(host, step) {
    const settings = await current(host, step);
    if (settings === undefined) throw new StepError(`${step.interface} shows no VF ${step.vf}`);
    return { settings };
  },
  async run(host, step, cx) {
    await host.links.setVf(step.interface, step.vf, step.settings);
    await cx.reached(`VF ${step.vf} of ${step.interface} set`);
    const now = await current(host, step);
    for (const [key, value] of entries(step.settings))
      if (now?.[key] !== value)
        throw new StepError(
          `${key} of VF ${step.vf} of ${step.interface} was set to ${print(value)} but reads ${now === undefined ? 'nothing' : print(now[key])}`,
        );
  },
  async restore(host, step, old, cx) {
    // The settings of a VF that this plan creates go with it when its PF's VFs are removed.
    if (step.created) return undefined;
    const now = await current(host, step);
    if (now === undefined) return undefined;
    const changed: VfSettings = Object.fromEntries(
      entries(step.settings).flatMap(([key]) => (now[key] === old.settings[key] ? [] : [[key, old.settings[key]]])),
    );
    if (entries(changed).length === 0) return undefined;
    await host.links.setVf(step.interface, step.vf, changed);
    await cx.reached(`VF ${step.vf} of ${step.interface} restored`);
    return `VF ${step.vf} of ${step.interface}: ${entries(changed)
      .map(([key, value]) => `${key} ${print(value)}`)
      .join(', ')}`;
  },
};

async function current(host: Host, step: SetVf): Promise<Settings | undefined> {
  return (await host.links.list()).find((link) => link.name === step.interface)?.vfs[step.vf];
}

function entries(settings: VfSettings): [keyof VfSettings, string | number | boolean][] {
  return Object.entries(settings) as [keyof VfSettings, string | number | boolean][];
}

function print(value: string | number | boolean): string {
  return typeof value === 'boolean' ? (value ? 'on' : 'off') : String(value);
}
