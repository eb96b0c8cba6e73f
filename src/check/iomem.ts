import type { Picture } from '../host/picture.ts';
import { once } from './index-of.ts';

/**
 * Names in /proc/iomem that stand inside a resource of a PCI function, by its address. Who may not see addresses, and gets
 * zeros, still sees the nesting. Source: Linux kernel/resource.c r_show(): two blanks for each level.
 */
export const ownersInside: (picture: Picture) => ReadonlyMap<string, readonly string[]> = once(({ texts }) => {
  const found = new Map<string, string[]>();
  const above: string[] = [];
  for (const line of (texts['/proc/iomem'] ?? '').split('\n')) {
    const [, blanks, name] = /^( *)[0-9a-f]+-[0-9a-f]+ : (.*)$/.exec(line) ?? [];
    if (blanks === undefined || name === undefined) continue;
    above.length = Math.min(above.length, blanks.length / 2);
    for (const holder of new Set(above))
      if (/^[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$/.test(holder)) {
        const list = found.get(holder);
        if (list === undefined) found.set(holder, [name]);
        else list.push(name);
      }
    above.push(name);
  }
  return found;
});
