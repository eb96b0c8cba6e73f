import type { KernelLine, Link, NvmeCommand } from './host.ts';
import { fromUtf8, toUtf8 } from './utf8.ts';

/**
 * What was read of a host while its record was taken, and nothing else: it can be read again as that host can. Plain data for
 * JSON. What a reader did not ask for is not in it.
 */
export interface Snapshot {
  schema: 'sluice/snapshot/1';
  /** What to expect of the file, for a person who opens it. */
  about: string;
  /** Version of the program that took it. */
  tool: string;
  /** When, as ISO 8601 in UTC. */
  taken: string;
  /** Whether what identifies people and machines was left out. */
  redacted: boolean;
  /** By folder and name. The name of the root folder itself is empty. */
  places: Record<string, Record<string, Place>>;
  log?: Answer<KernelLine[] | null>;
  interfaces?: Answer<Link[]>;
  modules?: Answer<string[]>;
  kvm?: Answer<{ usable: boolean; because: string }>;
  nvme: { controller: string; command: NvmeCommand; answer: Answer<{ status: number; result: number; base64: string }> }[];
  programs: { argv: string[]; answer: Answer<{ code: number; stdout: string; stderr: string }> }[];
}

/** What one path answered to each question that was asked about it. `null` is that it is not there, or not of that kind. */
export interface Place {
  content?: Answer<Content | null>;
  parts?: { offset: number; length: number; answer: Answer<Content | null> }[];
  /** Target of a symbolic link. */
  link?: Answer<string | null>;
  /** Names in a folder. */
  list?: Answer<string[] | null>;
  exists?: Answer<boolean>;
  /** Whether somebody has the block device exclusively; `null` when that could not be told. */
  claimed?: Answer<boolean | null>;
}

/** Text, or bytes in base64; `zeros` more bytes of 0 follow. */
export type Content = { text: string } | { base64: string; zeros?: number };

/** An error of the host in place of an answer. */
export interface Refused {
  refused: string;
  subject: string;
  errno?: string;
}

export type Answer<T> = T | Refused;

export const ABOUT =
  "What Sluice read of a host, to be read again with 'sluice inspect --host FILE'. Text and links are as the kernel gave them.";

export function isRefused(answer: unknown): answer is Refused {
  return typeof answer === 'object' && answer !== null && 'refused' in answer;
}

/** Folder and name of an absolute path, without slashes too many. */
export function placeOf(path: string): { folder: string; name: string } {
  const clean = path.replace(/\/+/g, '/').replace(/(.)\/$/, '$1');
  const cut = clean.lastIndexOf('/');
  return { folder: cut <= 0 ? '/' : clean.slice(0, cut), name: clean.slice(cut + 1) };
}

/** Text stays readable where it is text of lines; anything else is base64, without the zeros at its end. */
export function contentOf(bytes: Uint8Array): Content {
  const text = bytes.some((byte) => byte < 32 && byte !== 9 && byte !== 10) ? undefined : fromUtf8(bytes);
  if (text !== undefined) return { text };
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0) end--;
  const base64 = toBase64(bytes.subarray(0, end));
  return end === bytes.length ? { base64 } : { base64, zeros: bytes.length - end };
}

/** The bytes again. @throws RangeError when the base64 is none */
export function bytesOf(content: Content): Uint8Array {
  if ('text' in content) return toUtf8(content.text);
  const bytes = fromBase64(content.base64);
  if (content.zeros === undefined) return bytes;
  const all = new Uint8Array(bytes.length + content.zeros);
  all.set(bytes);
  return all;
}

const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const VALUES: ReadonlyMap<string, number> = new Map(Array.from(DIGITS, (digit, value) => [digit, value]));

/** RFC 4648 §4, with padding. */
export function toBase64(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length; at += 3) {
    const left = bytes.length - at;
    const bits = ((bytes[at] ?? 0) << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0);
    text += `${DIGITS[bits >> 18]}${DIGITS[(bits >> 12) & 63]}`;
    text += `${left > 1 ? DIGITS[(bits >> 6) & 63] : '='}${left > 2 ? DIGITS[bits & 63] : '='}`;
  }
  return text;
}

/** The same back. @throws RangeError when the text is no base64 */
export function fromBase64(text: string): Uint8Array {
  const digits = text.replace(/={0,2}$/, '');
  if (text.length % 4 !== 0 || /[^A-Za-z0-9+/]/.test(digits)) throw new RangeError('this is no base64');
  const bytes = new Uint8Array(Math.floor((digits.length * 3) / 4));
  let bits = 0;
  for (let i = 0, at = 0; i < digits.length; i++) {
    bits = ((bits << 6) | (VALUES.get(digits[i]!) ?? 0)) & 0xffffff;
    if (i % 4 !== 0) bytes[at++] = (bits >> (6 - 2 * (i % 4))) & 0xff;
  }
  return bytes;
}
