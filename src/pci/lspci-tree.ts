/** A function that stands in the tree of `lspci -t`. */
export interface TreeFunction {
  domain: number;
  bus: number;
  device: number;
  function: number;
  /** What `-v` puts behind it. */
  name?: string;
  /** Of a bridge: the buses behind it. */
  buses?: { primary: number; secondary: number; subordinate: number };
}

const TREE_LINE = /^[ |]*[-+\\][-+\\]*(?:\[(?:[0-9a-f]{4,8}:)?[0-9a-f]{2}(?:-[0-9a-f]{2})?\]|[01][0-9a-f]\.[0-7](?![0-9a-f.]))/i;
const TOKEN = /\[(?:([0-9a-f]{4,8}):)?([0-9a-f]{2})(?:-([0-9a-f]{2}))?\]|([01][0-9a-f])\.([0-7])/iy;

/** Whether a line belongs to a tree, such as `-[0000:00]-+-00.0` or `           +-1c.0-[01]----00.0`. */
export function isTreeLine(line: string): boolean {
  return TREE_LINE.test(line);
}

/** Reads a tree line by line: a bus stands for all that is further to the right, until another stands there. */
export class TreeReader {
  private readonly open: { column: number; domain: number; bus: number }[] = [];

  /** The functions of one line. */
  read(line: string): TreeFunction[] {
    const found: TreeFunction[] = [];
    let last: TreeFunction | undefined;
    for (let at = 0; at < line.length; ) {
      TOKEN.lastIndex = at;
      const token = TOKEN.exec(line);
      if (!token) {
        // Lines of the drawing; anything else is the name of the function before it.
        if ('-+\\| '.includes(line[at]!)) at++;
        else {
          if (last) last.name = line.slice(at).trim().slice(0, 300);
          break;
        }
        continue;
      }
      while (this.open.length > 0 && this.open.at(-1)!.column >= at) this.open.pop();
      const above = this.open.at(-1);
      const [text, domain, bus, end, device, fn] = token;
      if (bus !== undefined) {
        const secondary = Number.parseInt(bus, 16);
        const subordinate = end === undefined ? secondary : Number.parseInt(end, 16);
        if (domain === undefined && last) last.buses = { primary: last.bus, secondary, subordinate };
        this.open.push({
          column: at,
          domain: domain === undefined ? (above?.domain ?? 0) : Number.parseInt(domain, 16),
          bus: secondary,
        });
      } else if (above && device !== undefined) {
        last = { domain: above.domain, bus: above.bus, device: Number.parseInt(device, 16), function: Number(fn) };
        found.push(last);
      }
      at += text.length;
    }
    return found;
  }
}
