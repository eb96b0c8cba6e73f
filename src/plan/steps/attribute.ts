import type { Host } from '../../host/host.ts';
import { baseName } from '../../host/parse.ts';
import { StepError, type StepKind, type StepOf } from '../step.ts';

type Attribute = StepOf<'attribute'>;

export const attribute: StepKind<Attribute, { value: string }> = {
  title: (step) => `set ${baseName(step.path)} of ${baseName(folderOf(step.path))} to ${step.value}`,
  changes: (step) => [{ where: step.path, from: step.was, to: step.value }],
  async observe(host, step) {
    const value = await readAttribute(host, step.path);
    if (value === undefined) throw new StepError(`${step.path} is gone since the plan was made`);
    return { value };
  },
  async run(host, step, cx) {
    await host.files.write(step.path, `${step.value}\n`);
    await cx.reached(`${step.path} written`);
  },
  async restore(host, step, old, cx) {
    const now = await readAttribute(host, step.path);
    if (now === undefined || now === old.value) return undefined;
    if (now !== step.value)
      throw new StepError(
        `${step.path} is ${now}, neither ${old.value} as before nor ${step.value} as set: somebody else changed it`,
        [`make it ${old.value}, then revert again`],
      );
    await host.files.write(step.path, `${old.value}\n`);
    await cx.reached(`${step.path} restored`);
    return `${step.path}: ${now} -> ${old.value}`;
  },
};

/** Text of an attribute without its newline. */
async function readAttribute(host: Host, path: string): Promise<string | undefined> {
  return (await host.files.readText(path))?.trim();
}

function folderOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/'));
}
