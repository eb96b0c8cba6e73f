/** One member of an archive. A folder has neither content nor target. */
export interface Member {
  /** Relative, without a leading slash. */
  path: string;
  /** Permission bits. */
  mode: number;
  content?: Uint8Array;
  /** A symbolic link's target. */
  target?: string;
}

const FOLDER = 0o040000;
const FILE = 0o100000;
const LINK = 0o120000;

/**
 * Writes an archive in the "newc" form, the one a kernel unpacks as its initramfs: owner 0, time 0, no hard links, so equal
 * members give equal bytes. Folders above a member must be members themselves, earlier. Source: Linux
 * Documentation/driver-api/early-userspace/buffer-format.rst.
 * @throws RangeError when content does not fit the 32-bit size field
 */
export function writeCpio(members: readonly Member[]): Uint8Array<ArrayBuffer> {
  const text = new TextEncoder();
  const pieces: Uint8Array[] = [];
  let length = 0;
  const put = (bytes: Uint8Array) => {
    const padded = (bytes.length + 3) & ~3;
    pieces.push(bytes);
    if (padded !== bytes.length) pieces.push(new Uint8Array(padded - bytes.length));
    length += padded;
  };
  let inode = 0;
  const entry = (path: string, mode: number, links: number, body: Uint8Array) => {
    if (body.length > 0xffffffff) throw new RangeError(`${path}: ${body.length} bytes do not fit a newc archive`);
    const name = text.encode(`${path}\0`);
    const fields = [inode++, mode, 0, 0, links, 0, body.length, 0, 0, 0, 0, name.length, 0];
    const header = text.encode(`070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`);
    const head = new Uint8Array(header.length + name.length);
    head.set(header);
    head.set(name, header.length);
    put(head);
    put(body);
  };
  for (const { path, mode, content, target } of members) {
    if (target !== undefined) entry(path, LINK | 0o777, 1, text.encode(target));
    else if (content !== undefined) entry(path, FILE | mode, 1, content);
    else entry(path, FOLDER | mode, 2, new Uint8Array());
  }
  entry('TRAILER!!!', 0, 1, new Uint8Array());
  const archive = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    archive.set(piece, at);
    at += piece.length;
  }
  return archive;
}

/** The same members with every folder above them, each once and before what is in it. */
export function withFolders(members: readonly Member[]): Member[] {
  const known = new Set<string>();
  const all: Member[] = [];
  const folder = (path: string, mode: number) => {
    if (!known.has(path)) all.push({ path, mode });
    known.add(path);
  };
  for (const member of members) {
    const parts = member.path.split('/');
    for (let depth = 1; depth < parts.length; depth++) folder(parts.slice(0, depth).join('/'), 0o755);
    if (member.content === undefined && member.target === undefined) folder(member.path, member.mode);
    else all.push(member);
  }
  return all;
}
