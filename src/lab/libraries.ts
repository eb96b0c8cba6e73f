/** Files that a program loads, as ldd(1) prints them: `NAME => PATH (ADDRESS)` and `PATH (ADDRESS)`. */
export function parseLdd(text: string): { files: string[]; missing: string[] } {
  const files: string[] = [];
  const missing: string[] = [];
  for (const line of text.split('\n')) {
    const absent = /^\s*(\S+) => not found/.exec(line);
    if (absent) missing.push(absent[1] as string);
    const file = /^\s*(?:\S+ => )?(\/\S+) \(0x[0-9a-f]+\)/.exec(line);
    if (file) files.push(file[1] as string);
  }
  return { files, missing };
}
