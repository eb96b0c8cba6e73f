/**
 * Small programs that start an unpacked one with its own libraries and data. They find the unpacked tree beside themselves and
 * fork nothing, so they are cheap under emulation. Paths hold no quote or blank.
 */
export function wrapper(program: string, libraries: readonly string[], before: readonly string[] = []): string {
  const root = `\${0%/*}/../root`;
  const path = libraries.map((folder) => `${root}/${folder}`).join(':');
  const first = before.map((argument) => ` "${argument.startsWith('-') ? argument : `${root}/${argument}`}"`).join('');
  return `#!/bin/sh
LD_LIBRARY_PATH="${path}\${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" exec "${root}/${program}"${first} "$@"
`;
}
