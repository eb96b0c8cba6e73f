import { lstatSync, readlinkSync } from 'node:fs';
import { normalize } from 'node:path';
import { HostError } from '../host.ts';
import { hostError, isAbsent } from './errors.ts';

/** Symbolic links that one path may lead through, as in the kernel. */
const MAX_LINKS = 40;
/** Folders that are remembered at once. */
const MAX_KNOWN = 100_000;
const MAX_TARGETS = 1000;

/** What was seen of the host so far, so that thousands of files in the same folders cost one look each. */
interface Memory {
  /** Folders without links, by the path that was asked for. */
  places: Map<string, string>;
  /** Targets of links that were read for somebody, who will mostly ask for what is behind them next. */
  targets: Map<string, string>;
}

/** Turns a path of the host into a path of this machine. */
export interface Root {
  /** True when the host is this very machine, and not a tree recorded from one. */
  readonly real: boolean;
  /** The folder of this machine that is the host's `/`; empty when the host is this machine. */
  readonly folder: string;
  /**
   * @param last whether a symbolic link in the last place is followed
   * @throws HostError `ELOOP`, or `EINVAL` when the path is not absolute
   */
  locate(path: string, last: 'follow' | 'keep'): string;
  /** The same for reading: where folders are is looked up once, so a link that is changed meanwhile may be missed. */
  recall(path: string, last: 'follow' | 'keep'): string;
  /** Tells where a link points, as read at a place that `recall` gave. */
  rememberLink(place: string, target: string): void;
}

/**
 * The host's files below `root`. In a recorded tree every symbolic link is followed here, with `/` and `..` meaning the tree's
 * own root: a link recorded as `/sys/devices/...` or `../../..` never leads to a file of this machine.
 */
export function rootAt(root: string): Root {
  const folder = normalize(root).replace(/\/+$/, '');
  const real = folder === '';
  const known: Memory = { places: new Map(), targets: new Map() };
  const find = (path: string, last: 'follow' | 'keep', memory: Memory): string => {
    if (!path.startsWith('/')) throw new HostError(path, 'a path on a host must be absolute', 'EINVAL');
    if (real) return path;
    const cut = path.lastIndexOf('/');
    const name = path.slice(cut + 1);
    // Such a name is no link itself, and where it leads depends on the folders before it.
    const keep = last === 'keep' && name !== '' && name !== '.' && name !== '..';
    const walk = new Walk(folder, path, memory);
    return keep ? `${folder}${walk.follow(path.slice(0, cut))}/${name}` : `${folder}${walk.follow(path)}` || '/';
  };
  return {
    real,
    folder,
    locate: (path, last) => find(path, last, { places: new Map(), targets: new Map() }),
    recall(path, last) {
      if (known.places.size > MAX_KNOWN) known.places.clear();
      return find(path, last, known);
    },
    rememberLink(place, target) {
      if (known.targets.size > MAX_TARGETS) known.targets.clear();
      known.targets.set(place, target);
    },
  };
}

/** Follows the links of one path. */
class Walk {
  #links = 0;
  readonly #root: string;
  readonly #path: string;
  readonly #known: Memory;
  constructor(root: string, path: string, known: Memory) {
    this.#root = root;
    this.#path = path;
    this.#known = known;
  }

  /** The path of the host without links; empty for its root. What is not there is no link. */
  follow(path: string): string {
    if (path === '') return '';
    const found = this.#known.places.get(path);
    if (found !== undefined) return found;
    const cut = path.lastIndexOf('/');
    const name = path.slice(cut + 1);
    const above = this.follow(path.slice(0, cut));
    const place = this.#step(above, name);
    this.#known.places.set(path, place);
    return place;
  }

  #step(above: string, name: string): string {
    if (name === '' || name === '.') return above;
    if (name === '..') return above.slice(0, Math.max(0, above.lastIndexOf('/')));
    const folder = `${this.#root}${above}`;
    const target = this.#targetOf(`${folder}/${name}`);
    if (target === undefined) return `${above}/${name}`;
    if (++this.#links > MAX_LINKS) throw new HostError(this.#path, 'too many symbolic links', 'ELOOP');
    return this.follow(target.startsWith('/') ? target : `${above}/${target}`);
  }

  /** Where a link points, or undefined when it is no link or not there. */
  #targetOf(file: string): string | undefined {
    const known = this.#known.targets.get(file);
    if (known !== undefined) return known;
    try {
      return lstatSync(file, { throwIfNoEntry: false })?.isSymbolicLink() ? readlinkSync(file) : undefined;
    } catch (error) {
      if (isAbsent(error)) return undefined;
      throw hostError(this.#path, 'follow links to', error);
    }
  }
}
