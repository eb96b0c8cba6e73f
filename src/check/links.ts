/** Where a source of the catalogue can be read: `gh:OWNER/REPO#N ...`, `linux:PATH ...`, `qemu:PATH ...`; undefined for others. */
export function linkOf(source: string): string | undefined {
  const issue = /^gh:([\w.-]+\/[\w.-]+)(?:#(\d+))?/.exec(source);
  if (issue !== null) return `https://github.com/${issue[1]}${issue[2] === undefined ? '' : `/issues/${issue[2]}`}`;
  const file = /^(linux|qemu):([\w./+-]+\w)/.exec(source);
  if (file === null) return undefined;
  const tree = file[1] === 'linux' ? 'torvalds/linux/blob/v6.1' : 'qemu/qemu/blob/v10.0.0';
  // A star stands for several files.
  return source.includes('*') ? undefined : `https://github.com/${tree}/${file[2]}`;
}
