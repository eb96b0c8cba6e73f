// npm run kernel: compiles src/iommu/vtd/kernel/assembly (AssemblyScript) into code.ts beside it. `compileKernel` gives the text.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { root } from './prepare.mjs';

const FOLDER = 'src/iommu/vtd/kernel';
export const CODE = join(root, FOLDER, 'code.ts');
/** The memory is given, of any size. */
const OPTIONS =
  '--runtime stub --importMemory --initialMemory 1 --maximumMemory 65536 --noAssert --optimizeLevel 3 --enable simd';

/** @throws Error with what the compiler says */
export async function compileKernel() {
  const { createMemoryStream, main } = await import('assemblyscript/asc');
  const folder = mkdtempSync(join(tmpdir(), 'sluice-kernel-'));
  try {
    const out = join(folder, 'kernel.wasm');
    const stderr = createMemoryStream();
    const { error } = await main([`${FOLDER}/assembly/index.ts`, '--baseDir', root, '--outFile', out, ...OPTIONS.split(' ')], {
      stderr,
    });
    if (error) throw new Error(`${error.message}\n${Buffer.from(stderr.toBuffer()).toString()}`);
    return textOf(readFileSync(out));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function textOf(code) {
  const lines = code.toString('base64').match(/.{1,120}/g) ?? [];
  return `// Compiled from the folder assembly by \`npm run kernel\`: do not edit.

/** The module, in base64. */
export const CODE: string = \`
${lines.join('\n')}
\`;
`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(CODE, await compileKernel());
