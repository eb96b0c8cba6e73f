/** What of a definition these functions look at. */
interface Definition {
  readonly bits: number;
  readonly fields: readonly { readonly name: string; readonly kind: string; readonly low: number; readonly high: number }[];
}

/**
 * The bits of some fields as a mask for each 32-bit word of an entry, the lowest first: what hot code compares, taken from
 * the definition.
 */
export function fieldWords(definition: Definition, ...names: readonly string[]): Int32Array {
  return wordsOf(definition, ({ name }) => names.includes(name));
}

/** The same of all reserved fields. */
export function reservedWords(definition: Definition): Int32Array {
  return wordsOf(definition, ({ kind }) => kind === 'reserved');
}

function wordsOf(definition: Definition, wanted: (field: Definition['fields'][number]) => boolean): Int32Array {
  const words = new Int32Array(definition.bits / 32);
  for (const field of definition.fields)
    if (wanted(field)) for (let at = field.low; at <= field.high; at++) words[at >>> 5]! |= 1 << (at & 31);
  return words;
}
