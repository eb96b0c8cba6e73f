/** Where a source of the catalogue can be read: `gh:OWNER/REPO#N ...`, `linux:PATH ...`, `qemu:PATH ...`; undefined for others. */
export function linkOf(source: string): string | undefined {
  const issue = /^gh:([\w.-]+\/[\w.-]+)(?:#(\d+))?/.exec(source);
  if (issue !== null) return `https://github.com/${issue[1]}${issue[2] === undefined ? '' : `/issues/${issue[2]}`}`;
  const file = /^(linux|qemu):([\w./+-]+\w)(?: .*?\b(\d+\.\d+)\b)?/.exec(source);
  // A star stands for several files.
  if (file === null || source.includes('*')) return undefined;
  const [, project, path, version] = file;
  // Kernels and QEMU are named with two numbers; the tags of QEMU have three.
  const tree = project === 'linux' ? `torvalds/linux/blob/v${version ?? '6.1'}` : `qemu/qemu/blob/v${version ?? '10.0'}.0`;
  return `https://github.com/${tree}/${path}`;
}
