import { existsSync, readdirSync, readlinkSync, rmSync, symlinkSync } from 'node:fs';
import { dirname, isAbsolute, join, relative } from 'node:path';
import { LabError } from './errors.ts';

const LIBRARY_FOLDERS = ['usr/lib/x86_64-linux-gnu', 'lib/x86_64-linux-gnu', 'usr/lib', 'lib'];
const PROGRAM_FOLDERS = ['usr/bin', 'bin', 'usr/sbin', 'sbin'];

/** A tree of unpacked packages beside the system's own files. Paths returned are relative to it. */
export class Unpacked {
  readonly root: string;

  constructor(root: string) {
    this.root = root;
  }

  /** Folders that hold shared libraries. */
  libraries(): string[] {
    return LIBRARY_FOLDERS.filter((folder) => {
      const path = join(this.root, folder);
      return existsSync(path) && readdirSync(path).some((name) => /\.so(\.|$)/.test(name));
    });
  }

  /** An environment in which the tree's programs find its libraries. */
  env(): NodeJS.ProcessEnv {
    const folders = this.libraries().map((folder) => join(this.root, folder));
    return { ...process.env, LC_ALL: 'C', LD_LIBRARY_PATH: folders.join(':') };
  }

  /** Where a program is, whichever of the usual folders it came in; undefined when it is not in the tree. */
  find(program: string): string | undefined {
    return PROGRAM_FOLDERS.map((folder) => join(folder, program)).find((path) => existsSync(join(this.root, path)));
  }

  /** Turns links of programs that lead to `/` into links within the tree, such as kmod's. */
  relink(): void {
    for (const folder of PROGRAM_FOLDERS.map((name) => join(this.root, name)).filter((path) => existsSync(path)))
      for (const entry of readdirSync(folder, { withFileTypes: true })) {
        if (!entry.isSymbolicLink()) continue;
        const path = join(folder, entry.name);
        const target = readlinkSync(path);
        if (!isAbsolute(target) || !existsSync(join(this.root, target))) continue;
        rmSync(path);
        symlinkSync(relative(dirname(path), join(this.root, target)), path);
      }
  }

  /** @throws LabError when no package brought the program */
  program(name: string): string {
    const path = this.find(name);
    if (path === undefined) throw new LabError(`none of the downloaded packages has the program ${name}`);
    return path;
  }
}
