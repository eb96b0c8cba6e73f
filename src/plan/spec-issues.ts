import type * as z from 'zod/mini';
import { keysAt, NAMING_KEYS } from './spec-schema.ts';
import { readDuration, readMemory } from './spec-units.ts';
import { nearest, quoted } from './spec-words.ts';
import { type Source, type SpecError, showPath, specError } from './spec-yaml.ts';

type Issue = z.core.$ZodIssue;
/** Nobody reads more of them, and each costs a search for its place. */
const MOST = 100;

/** Turns what the schema found into errors with a place, the expectation in words, and what stands there. */
export function issueErrors(issues: readonly Issue[], source: Source): SpecError[] {
  return issues.slice(0, MOST).flatMap((issue) => oneIssue(issue, [], source));
}

function oneIssue(issue: Issue, above: readonly PropertyKey[], source: Source): SpecError[] {
  const path = [...above, ...issue.path];
  const found = valueAt(source.value, path);
  if (issue.code === 'unrecognized_keys')
    return issue.keys.slice(0, MOST).map((key) => unknownKey([...path, key], found, source));
  if (issue.code === 'invalid_union') {
    const named = isObject(found) ? Object.keys(found).filter((key) => NAMING_KEYS.includes(key)) : [];
    if (named.length > 1) {
      const where = [...path, named[1]!];
      return [specError(source.keyPlace(where), showPath(path), `one of ${NAMING_KEYS.join(', ')}`, named.join(' and '))];
    }
    const member = isObject(found) && Object.hasOwn(found, 'vf') ? 'pf' : named[0];
    const inner = member === undefined ? undefined : issue.errors[NAMING_KEYS.indexOf(member)];
    if (inner) return inner.flatMap((one) => oneIssue(one, path, source));
    const strange = isObject(found) ? Object.keys(found) : [];
    if (strange.length > 0) return strange.slice(0, MOST).map((key) => unknownKey([...path, key], found, source));
  }
  if (found === undefined && path.length > 0)
    return [specError(source.place(path.slice(0, -1)), showPath(path), issue.message, 'nothing', `add ${String(path.at(-1))}:`)];
  return [specError(source.place(path), showPath(path), issue.message, describe(found), advise(issue, path, found))];
}

function unknownKey(path: readonly PropertyKey[], parent: unknown, source: Source): SpecError {
  const keys = keysAt(path.slice(0, -1), parent);
  const key = String(path.at(-1));
  const meant = nearest(key, keys);
  const advice = meant === undefined ? `the keys here are ${keys.join(', ')}` : `did you mean ${meant}?`;
  const expected = `one of the keys ${keys.join(', ')}`;
  return specError(source.keyPlace(path), showPath(path), expected, quoted(key, 40), advice, 'unknown key');
}

function advise(issue: Issue, path: readonly PropertyKey[], found: unknown): string {
  if (issue.code === 'custom') return typeof issue.params?.advice === 'string' ? issue.params.advice : '';
  if (issue.code === 'invalid_value' && typeof found === 'string') {
    if (issue.values.includes('on') && /^(yes|no)$/i.test(found)) return `write ${/^y/i.test(found) ? 'on' : 'off'}`;
    const meant = nearest(found, issue.values.map(String));
    return meant === undefined ? '' : `did you mean ${meant}?`;
  }
  if (issue.code !== 'invalid_type') return '';
  if (issue.expected === 'string' && (typeof found === 'number' || typeof found === 'boolean')) {
    const key = path.at(-1);
    const read = key === 'memory' ? readMemory(String(found)) : key === 'timeout' ? readDuration(String(found)) : undefined;
    return read && 'advice' in read ? read.advice : 'quote it if it is meant as text';
  }
  return typeof found === 'string' && /^\d+$/.test(found) ? 'write it without quotes' : '';
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  let at = value;
  for (const key of path) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, key)) return undefined;
    at = (at as Record<PropertyKey, unknown>)[key];
  }
  return at;
}

function describe(value: unknown): string {
  if (value === undefined || value === null) return 'nothing';
  if (typeof value === 'string') return quoted(value);
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list';
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : 'a mapping';
}
