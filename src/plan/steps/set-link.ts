import type { Host } from '../../host/host.ts';
import { StepError, type StepKind, type StepOf } from '../step.ts';

type SetLink = StepOf<'set-link'>;

export const setLink: StepKind<SetLink, { up: boolean }> = {
  title: (step) => `set ${step.interface} ${upOrDown(step.up)}`,
  changes: (step) => [{ where: `ip link set dev ${step.interface}`, from: upOrDown(step.was), to: upOrDown(step.up) }],
  async observe(host, step) {
    const up = await isUp(host, step.interface);
    if (up === undefined) throw new StepError(`the interface ${step.interface} is gone since the plan was made`);
    return { up };
  },
  async run(host, step, cx) {
    await host.links.setUp(step.interface, step.up);
    await cx.reached(`${step.interface} set`);
  },
  async restore(host, step, old, cx) {
    const now = await isUp(host, step.interface);
    if (now === undefined || now === old.up) return undefined;
    await host.links.setUp(step.interface, old.up);
    await cx.reached(`${step.interface} restored`);
    return `${step.interface}: ${upOrDown(now)} -> ${upOrDown(old.up)}`;
  },
};

async function isUp(host: Host, name: string): Promise<boolean | undefined> {
  return (await host.links.list()).find((link) => link.name === name)?.up;
}

function upOrDown(up: boolean): string {
  return up ? 'up' : 'down';
}
