// Bytes and text without the platform's help: this room runs wherever JavaScript does.

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const VALUE = new Int8Array(128).fill(-1);
for (let i = 0; i < 64; i++) VALUE[ALPHABET.charCodeAt(i)] = i;

/** Base64 of RFC 4648 §4, padded. Undefined when the text is anything else. */
export function decodeBase64(text: string): Uint8Array | undefined {
  if (text.length % 4 !== 0) return undefined;
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0;
  const digits = text.length - padding;
  const bytes = new Uint8Array((text.length / 4) * 3 - padding);
  let held = 0;
  let bits = 0;
  let at = 0;
  for (let i = 0; i < digits; i++) {
    const code = text.charCodeAt(i);
    const value = code < 128 ? VALUE[code]! : -1;
    if (value < 0) return undefined;
    held = ((held << 6) | value) & 0xffff;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      bytes[at++] = (held >> bits) & 0xff;
    }
  }
  // The bits below the last byte must be clear, or two texts would mean the same bytes.
  return (held & ((1 << bits) - 1)) === 0 ? bytes : undefined;
}

/** Text of UTF-8 bytes; what is not UTF-8 becomes U+FFFD, as the WHATWG Encoding Standard does it. A byte order mark stays. */
export function decodeUtf8(bytes: Uint8Array): string {
  const parts: string[] = [];
  let text = '';
  let i = 0;
  while (i < bytes.length) {
    const first = bytes[i++]!;
    let more = first < 0x80 ? 0 : first < 0xc2 ? -1 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : first < 0xf5 ? 3 : -1;
    let code = more < 0 ? 0xfffd : more === 0 ? first : first & (0x3f >> more);
    // The second byte is bounded more tightly where it would make an overlong form, a surrogate or more than 10ffff.
    let low = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
    let high = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
    for (; more > 0; more--) {
      const next = i < bytes.length ? bytes[i]! : -1;
      if (next < low || next > high) {
        code = 0xfffd;
        break;
      }
      code = (code << 6) | (next & 0x3f);
      low = 0x80;
      high = 0xbf;
      i++;
    }
    text += String.fromCodePoint(code);
    if (text.length > 0xffff) {
      parts.push(text);
      text = '';
    }
  }
  return parts.join('') + text;
}

// ECMA-48 control sequences (CSI), operating system commands (OSC) and other escapes; then any control character but the tab.
const [BEL, ESC] = [String.fromCharCode(7), String.fromCharCode(27)];
const ESCAPES = new RegExp(`${ESC}(?:\\[[0-?]*[ -/]*[@-~]|\\][^${BEL}${ESC}]*(?:${BEL}|${ESC}\\\\)|[ -/]*[0-~])`, 'g');
const CONTROLS = /[^\P{Cc}\t]/gu;

/**
 * The last lines of a log, fit to be shown: control characters and escape sequences are taken out, for a console is
 * written by the guest and a terminal obeys what it is shown.
 */
export function lastLines(text: string, count: number): string[] {
  const lines = text.replaceAll('\r\n', '\n').split('\n');
  if (lines.at(-1) === '') lines.pop();
  return count <= 0 ? [] : lines.slice(-count).map((line) => line.replace(ESCAPES, '').replace(CONTROLS, ''));
}
