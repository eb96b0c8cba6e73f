import { type Clock, type Host, HostError } from '../src/host/host.ts';

/** What is at a path: text or bytes of a file, a symbolic link, a file whose reading fails, a block device, or an empty folder. */
export type Place = string | Uint8Array | { link: string } | { errno: string } | { block: 'free' | 'claimed' } | typeof FOLDER;

export const FOLDER = { folder: 'empty' } as const;

type Node =
  | { folder: Map<string, Node> }
  | { file: Uint8Array }
  | { errno: string }
  | { link: string }
  | { block: 'free' | 'claimed' };

/** As many links as Linux follows before it says ELOOP. */
const MOST_LINKS = 40;

/** A file system in memory, with links followed as Linux does. */
export class Tree {
  readonly #root: Node = { folder: new Map() };
  /** Calls that were made for a path, so that a test can bound the work. */
  looks = 0;

  constructor(places: { readonly [path: string]: Place } = {}) {
    for (const [path, place] of Object.entries(places)) this.add(path, place);
  }

  /** Folders above are made. @throws Error when something that is no folder is in the way */
  add(path: string, place: Place): void {
    const names = path.split('/').filter(Boolean);
    const last = names.pop();
    if (last === undefined) throw new Error('the root is there already');
    let at = this.#root;
    for (const name of names) {
      if (!('folder' in at)) throw new Error(`${path}: ${name} is below something that is no folder`);
      const next: Node = at.folder.get(name) ?? { folder: new Map() };
      at.folder.set(name, next);
      at = next;
    }
    if (!('folder' in at)) throw new Error(`${path} is below something that is no folder`);
    if (typeof place === 'object' && 'folder' in place) {
      if (!at.folder.has(last)) at.folder.set(last, { folder: new Map() });
    } else if (typeof place === 'string') at.folder.set(last, { file: new TextEncoder().encode(place) });
    else if (place instanceof Uint8Array) at.folder.set(last, { file: place });
    else at.folder.set(last, place);
  }

  /** The node of a path, or undefined when there is none. @throws HostError `ELOOP` */
  find(path: string, last: 'follow' | 'keep'): Node | undefined {
    this.looks++;
    const todo = path.split('/').filter(Boolean).reverse();
    const above: Node[] = [];
    let at = this.#root;
    for (let links = 0; todo.length > 0; ) {
      const name = todo.pop()!;
      if (name === '.') continue;
      if (name === '..') {
        at = above.pop() ?? this.#root;
        continue;
      }
      if (!('folder' in at)) return undefined;
      const next = at.folder.get(name);
      if (next === undefined) return undefined;
      if ('link' in next && (todo.length > 0 || last === 'follow')) {
        if (++links > MOST_LINKS) throw new HostError(path, 'cannot follow', 'ELOOP');
        todo.push(...next.link.split('/').filter(Boolean).reverse());
        if (next.link.startsWith('/')) {
          at = this.#root;
          above.length = 0;
        }
        continue;
      }
      above.push(at);
      at = next;
    }
    return at;
  }
}

/** A host that shows a tree and allows no change. */
export function treeHost(tree: Tree, more: Partial<Host> = {}): Host {
  const file = (path: string): Uint8Array | undefined => {
    const node = tree.find(path, 'follow');
    if (node === undefined) return undefined;
    if ('errno' in node) throw new HostError(path, 'cannot read', node.errno);
    if (!('file' in node)) throw new HostError(path, 'cannot read', 'EISDIR');
    return node.file;
  };
  const readOnly = async (path: string): Promise<never> => {
    throw new HostError(path, 'this host is a record and cannot be changed', 'EROFS');
  };
  const clock: Clock = { now: () => 0, sleep: async () => {} };
  return {
    name: 'tree',
    clock,
    files: {
      read: async (path) => file(path)?.slice(),
      readAt: async (path, offset, length) => file(path)?.slice(offset, offset + length),
      readText: async (path) => {
        const bytes = file(path);
        return bytes && new TextDecoder().decode(bytes);
      },
      link: async (path) => {
        const node = tree.find(path, 'keep');
        return node && 'link' in node ? node.link : undefined;
      },
      list: async (path) => {
        const node = tree.find(path, 'follow');
        if (node === undefined) return undefined;
        if ('errno' in node) throw new HostError(path, 'cannot list', node.errno);
        if (!('folder' in node)) throw new HostError(path, 'cannot list', 'ENOTDIR');
        return [...node.folder.keys()].sort();
      },
      claimed: async (path) => {
        const node = tree.find(path, 'follow');
        return node && 'block' in node ? node.block === 'claimed' : undefined;
      },
      exists: async (path) => tree.find(path, 'keep') !== undefined,
      write: readOnly,
      replace: readOnly,
      append: readOnly,
      makeFolder: readOnly,
      remove: readOnly,
      lock: readOnly,
      kernelLog: async () => undefined,
    },
    links: { list: async () => [], setUp: readOnly, setVf: readOnly },
    modules: {
      // The same words that the live host reads.
      loaded: async () =>
        (new TextDecoder().decode(file('/proc/modules') ?? new Uint8Array()).match(/^\S+/gm) ?? []).map((name) =>
          name.replaceAll('-', '_'),
        ),
      load: readOnly,
      unload: readOnly,
    },
    nvme: {
      admin: async (controller) => {
        throw new HostError(controller, 'a record answers no commands', 'ENODEV');
      },
    },
    vfio: { open: readOnly },
    hypervisor: {
      run: async ([program = '']) => readOnly(program),
      start: async ([program = '']) => readOnly(program),
      signal: async () => false,
      connect: readOnly,
      kvm: async () => ({ usable: false, because: 'a record runs no guest' }),
    },
    ...more,
  };
}
