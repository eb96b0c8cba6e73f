// What of WebAssembly is used here. Types of it come with those of browsers only.

export interface LinearMemory {
  readonly buffer: ArrayBuffer;
}

interface WebAssemblyGlobal {
  readonly Memory: new (size: { initial: number; maximum: number }) => LinearMemory;
  readonly Module: new (code: Uint8Array<ArrayBuffer>) => object;
  readonly Instance: new (
    module: object,
    imports: Readonly<Record<string, Readonly<Record<string, LinearMemory>>>>,
  ) => { readonly exports: unknown };
}

const globals = globalThis as unknown as { WebAssembly: WebAssemblyGlobal; atob(text: string): string };

export const webAssembly: WebAssemblyGlobal = globals.WebAssembly;

/** @param code a module, in base64 */
export function compile(code: string): object {
  return new webAssembly.Module(Uint8Array.from(globals.atob(code), (character) => character.charCodeAt(0)));
}
