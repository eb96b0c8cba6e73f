import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
const src = join(root, 'src');

/** Rows of rooms, the lowest first: a room imports only from rows below its own. */
const ROWS: readonly (readonly string[])[] = [
  ['bits'],
  ['memory', 'pci', 'acpi'],
  ['nvme'],
  ['iommu'],
  ['vfio'],
  ['host'],
  ['host/live'],
  ['check', 'qemu'],
  ['plan'],
  ['lab'],
  ['cli'],
];
/** Rooms that touch the machine; all others compute. */
const IMPURE = ['host/live', 'lab', 'cli'];
/** Packages that a room may use. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  qemu: ['@xmldom/xmldom'],
  plan: ['yaml', 'zod/mini'],
  cli: ['zod/mini'],
  'host/live': ['koffi'],
};

const rooms = ROWS.flat();
const row = (room: string): number => ROWS.findIndex((names) => names.includes(room));

/** The room of a path below src: the longest name that fits. */
function roomOf(path: string): string | undefined {
  return rooms.filter((room) => path.startsWith(`${room}/`)).sort((a, b) => b.length - a.length)[0];
}

interface Import {
  file: string;
  from: string;
}

const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));

/** Every module that a source names: static, for its effects, lazy, re-exported, or for its types. */
function importsIn(text: string): string[] {
  const code = text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '');
  const found = code.matchAll(
    /(?:\bfrom\s*|^\s*import\s*|\bimport\s*\(\s*|\brequire\s*\(\s*|\bgetBuiltinModule\s*\(\s*)(['"])([^'"\n]+)\1/gm,
  );
  return [...found].map((match) => match[2]!);
}

const imports: Import[] = files.flatMap((file) =>
  importsIn(readFileSync(join(src, file), 'utf8')).map((from) => ({ file, from })),
);

/** What is wrong with one import, if anything. */
function complaint({ file, from }: Import): string | undefined {
  const isTest = file.endsWith('.test.ts');
  const room = roomOf(file);
  if (room === undefined) return `src/${file} is in no room of the table`;
  if (from.startsWith('.')) {
    const target = relative(src, resolve(src, dirname(file), from));
    if (target.startsWith('..'))
      return isTest && target.startsWith('../test/') ? undefined : `src/${file} imports ${from}, which is outside of src`;
    const other = roomOf(target);
    if (other === undefined) return `src/${file} imports ${from}, which is in no room of the table`;
    // A test may look down from any height that its own room could.
    return other === room || row(other) < row(room) ? undefined : `src/${file} imports ${from}: ${other} is not below ${room}`;
  }
  if (isTest) return undefined;
  if (from.startsWith('node:')) return IMPURE.includes(room) ? undefined : `src/${file} imports ${from}, and ${room} is pure`;
  return PACKAGES[room]?.includes(from) ? undefined : `src/${file} imports the package ${from}, which ${room} may not use`;
}

test('no room imports from one that is not below it, nor a package that is not for it', () => {
  assert.equal(imports.map(complaint).filter(Boolean).join('\n'), '');
});

test('every source is in a room of the table', () => {
  assert.equal(files.filter((file) => roomOf(file) === undefined).join('\n'), '');
});

test('the rule names what it is for', () => {
  const says = (file: string, from: string) => complaint({ file, from });
  assert.match(says('pci/a.ts', '../host/host.ts')!, /host is not below pci/);
  assert.match(says('pci/a.ts', '../acpi/dmar.ts')!, /acpi is not below pci/);
  assert.match(says('host/a.ts', './live/index.ts')!, /host\/live is not below host/);
  assert.match(says('plan/a.ts', 'node:fs')!, /plan is pure/);
  assert.match(says('plan/a.ts', 'koffi')!, /may not use/);
  assert.match(says('plan/a.ts', 'fs')!, /may not use/);
  assert.match(says('twin/a.ts', './b.ts')!, /in no room/);
  assert.match(says('plan/a.ts', '../twin/b.ts')!, /in no room/);
  assert.match(says('cli/a.ts', '../../test/data.ts')!, /outside of src/);
  assert.equal(says('host/live/a.ts', '../host.ts'), undefined);
  assert.equal(says('host/live/a.ts', 'koffi'), undefined);
  assert.deepEqual(
    importsIn("import 'a';\nimport type { X } from './b.ts';\nexport * from \"c\";\nconst d = await import('d');\n// from 'e'"),
    ['a', './b.ts', 'c', 'd'],
  );
});

interface TsConfig {
  extends?: string;
  compilerOptions?: { types?: string[]; lib?: string[]; skipLibCheck?: boolean };
  references?: { path: string }[];
}
const config = (path: string): TsConfig => JSON.parse(readFileSync(path, 'utf8')) as TsConfig;
const base = config(join(root, 'tsconfig.base.json'));

for (const room of rooms) {
  const own = config(join(src, room, 'tsconfig.json'));
  test(`the compiler of ${room} sees only rooms below it`, () => {
    assert.ok(own.extends?.endsWith('tsconfig.base.json'));
    for (const { path } of own.references ?? []) {
      const other = relative(src, resolve(src, room, path));
      assert.ok(row(other) >= 0 && row(other) < row(room), `${room} refers to ${other}`);
    }
  });
  if (!IMPURE.includes(room))
    test(`the compiler keeps ${room} pure: no types of Node or the browser`, () => {
      assert.deepEqual([base.compilerOptions?.types, base.compilerOptions?.lib], [[], ['es2023']]);
      assert.deepEqual([own.compilerOptions?.types ?? [], own.compilerOptions?.lib ?? ['es2023']], [[], ['es2023']]);
    });
}
