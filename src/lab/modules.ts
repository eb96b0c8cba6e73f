/** What depmod wrote about one kernel's modules. */
export interface ModuleIndex {
  /** Module name with `_` for `-`, to its file below the modules folder. */
  files: ReadonlyMap<string, string>;
  /** File to the files it needs, nearest first as depmod writes them. */
  needs: ReadonlyMap<string, readonly string[]>;
  /** Names that are part of the kernel image; undefined when the packages do not say. */
  builtin: ReadonlySet<string> | undefined;
}

const nameOf = (file: string): string => (file.split('/').at(-1) as string).replace(/\.ko(\.\w+)?$/, '').replaceAll('-', '_');

/** Reads `modules.dep` and `modules.builtin`; some kernels come without the latter. Source: modules.dep(5). */
export function parseModules(dep: string, builtin: string | undefined): ModuleIndex {
  const files = new Map<string, string>();
  const needs = new Map<string, readonly string[]>();
  for (const line of dep.split('\n')) {
    const [file, rest] = line.split(':');
    if (!file || rest === undefined) continue;
    files.set(nameOf(file), file);
    needs.set(file, rest.split(' ').filter(Boolean));
  }
  return { files, needs, builtin: builtin === undefined ? undefined : new Set(builtin.split('\n').filter(Boolean).map(nameOf)) };
}

/**
 * Files to insert for these modules, in an order in which each one's needs come before it; built-in modules give nothing.
 * A name that ends in `?` may be missing.
 * @throws Error naming a module that this kernel neither has nor has built in
 */
export function loadOrder(index: ModuleIndex, names: readonly string[]): string[] {
  const order: string[] = [];
  const add = (file: string) => {
    if (order.includes(file)) return;
    for (const need of [...(index.needs.get(file) ?? [])].reverse()) add(need);
    if (!order.includes(file)) order.push(file);
  };
  for (const wanted of names) {
    const name = wanted.replace(/\?$/, '').replaceAll('-', '_');
    const file = index.files.get(name);
    if (file !== undefined) add(file);
    else if (index.builtin?.has(name) === false && !wanted.endsWith('?')) throw new Error(`this kernel has no module ${name}`);
  }
  return order;
}
