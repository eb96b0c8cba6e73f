const UNITS: Readonly<Record<string, number>> = { KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 };
const DECIMAL: Readonly<Record<string, number>> = { K: 1e3, M: 1e6, G: 1e9, T: 1e12 };
const MEBIBYTE = 2 ** 20;
/** No guest-physical address has more than 52 bits. */
const MOST_MEMORY = 2 ** 52;

/** What a written value means, or what to write instead (empty when there is no better advice than what is expected). */
export type Read<T> = { value: T } | { advice: string };

/** A guest's memory in bytes from text such as `4GiB`: a whole number and KiB, MiB, GiB or TiB; whole mebibytes. */
export function readMemory(text: string): Read<number> {
  const match = /^(\d{1,16})(?:\.(\d{1,9}))?\s*([A-Za-z]*)$/.exec(text);
  if (!match) return { advice: '' };
  const [, whole = '', fraction, unit = ''] = match;
  const amount = Number(fraction === undefined ? whole : `${whole}.${fraction}`);
  const factor = UNITS[unit];
  if (factor === undefined) return { advice: adviseUnit(amount, unit) };
  const bytes = amount * factor;
  if (fraction !== undefined) return { advice: `write it without a fraction, as ${written(bytes)}` };
  if (bytes === 0) return { advice: 'a guest needs memory' };
  if (bytes > MOST_MEMORY) return { advice: 'that is beyond 4096TiB, the end of a 52-bit address' };
  if (bytes % MEBIBYTE !== 0) return { advice: `memory comes in whole MiB: write ${written(bytes)}` };
  return { value: bytes };
}

/** The shortest way to write that many bytes, rounded up to whole mebibytes. */
export function writeMemory(bytes: number): string {
  const mebibytes = Math.max(1, Math.ceil(bytes / MEBIBYTE));
  if (mebibytes % 2 ** 20 === 0) return `${mebibytes / 2 ** 20}TiB`;
  return mebibytes % 1024 === 0 ? `${mebibytes / 1024}GiB` : `${mebibytes}MiB`;
}
const written = writeMemory;

function adviseUnit(amount: number, unit: string): string {
  if (unit === '') return `a unit is missing: ${amount}MiB or ${amount}GiB`;
  const near = Object.keys(UNITS).find((name) => name.toLowerCase() === unit.toLowerCase());
  if (near) return `write ${amount}${near}`;
  const letter = unit[0]!.toUpperCase();
  // "4G" and "4GB" are read as either power by different programs: the reader says which.
  if (/^[KMGT]B?$/i.test(unit))
    return `write ${amount}${letter}iB (or ${written(amount * DECIMAL[letter]!)} if powers of ten were meant)`;
  return 'the units are KiB, MiB, GiB and TiB';
}

/** Seconds from text such as `90s`, `2min` or `1h`; from 1 s to 24 h. */
export function readDuration(text: string): Read<number> {
  const match = /^(\d{1,6})\s*([A-Za-z]*)$/.exec(text);
  if (!match) return { advice: '' };
  const [, amount = '', unit = ''] = match;
  const factor = { s: 1, min: 60, h: 3600 }[unit];
  if (factor === undefined)
    return { advice: unit === '' ? `a unit is missing: ${amount}s or ${amount}min` : 'the units are s, min and h' };
  const seconds = Number(amount) * factor;
  return seconds >= 1 && seconds <= 86400 ? { value: seconds } : { advice: 'the limits are 1s and 24h' };
}

/** A unicast MAC address, lower-cased, from six octets with colons. */
export function readMac(text: string): Read<string> {
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text)) {
    const octets = text.split(/[-.:]/).join('');
    return { advice: /^[0-9a-f]{12}$/i.test(octets) ? `write ${octets.match(/../g)!.join(':').toLowerCase()}` : '' };
  }
  const mac = text.toLowerCase();
  if (Number.parseInt(mac.slice(0, 2), 16) & 1)
    return { advice: 'the lowest bit of its first octet is set, so it names a group of stations' };
  if (mac === '00:00:00:00:00:00') return { advice: 'all zero means that none is set' };
  return { value: mac };
}

/** The written form of a function's address: `0000:01:00.0`, or without the domain; the domain has four digits or more. */
export const BDF_PATTERN = '^([0-9a-fA-F]{4,8}:)?[0-9a-fA-F]{2}:[01][0-9a-fA-F]\\.[0-7]$';
const BDF = new RegExp(BDF_PATTERN);

/** A function's address as sysfs spells it, lower-cased and with its domain, from that or from `01:00.0`. */
export function readAddress(text: string): Read<string> {
  if (!BDF.test(text))
    return {
      advice: /^[0-9a-f]{1,8}([:.][0-9a-f]{1,2}){1,2}$/i.test(text) ? 'domain:bus:device.function, in hexadecimal digits' : '',
    };
  const bdf = text.toLowerCase();
  return { value: bdf.split(':').length === 2 ? `0000:${bdf}` : bdf };
}

/** The name of a network interface as `dev_valid_name` in Linux `net/core/dev.c` takes it. */
export function readInterface(text: string): Read<string> {
  if (/^[^\s/:]{1,15}$/.test(text) && text !== '.' && text !== '..') return { value: text };
  return { advice: text.length > 15 ? 'an interface name has at most 15 characters' : '' };
}

/** A physical function: its address, its interface or its NVMe controller. */
export function readPf(text: string): Read<string> {
  if (BDF.test(text)) return readAddress(text);
  if (/^\/dev\/nvme\d+$/.test(text)) return { advice: `write ${text.slice('/dev/'.length)}` };
  if (/^nvme\d+n\d+$/.test(text)) return { advice: `that is a namespace: its controller is ${text.replace(/n\d+$/, '')}` };
  return readInterface(text);
}
