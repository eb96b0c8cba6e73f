import { toHex, viewOf } from '../bits/index.ts';
import type { NvmeCommand } from './host.ts';
import type { Words } from './redact-words.ts';

const [VITAL_PRODUCT_DATA, VENDOR_SPECIFIC] = [0x03, 0x09];
const [SERIAL_NUMBER, EXTENDED_VENDOR_SPECIFIC, DESIGNATED_VENDOR_SPECIFIC] = [0x0003, 0x000b, 0x0023];
/** Whose capabilities are described: where the structures of virtio lie (Virtio 1.2 §4.1.4), and those of CXL (CXL 3.0 §8.1). */
const [VIRTIO, CXL] = [0x1af4, 0x1e98];

/**
 * Configuration space without the Device Serial Number, without what lies in the window of the Vital Product Data, and without what
 * vendors keep behind the headers of capabilities of their own: each may tell one card from all others.
 * Source: PCIe 6.0 §7.9.3 to §7.9.6, PCI 3.0 Appendix I.
 */
export function redactConfig(config: Uint8Array, words: Words): Uint8Array {
  const bytes = config.slice();
  const view = viewOf(bytes);
  let at = (bytes[0x34] ?? 0) & ~3;
  for (let steps = 0; steps < 48 && at >= 0x40 && at + 8 <= bytes.length; steps++) {
    if (bytes[at] === VITAL_PRODUCT_DATA) bytes.fill(0, at + 4, at + 8);
    if (bytes[at] === VENDOR_SPECIFIC && view.getUint16(0, true) !== VIRTIO)
      bytes.fill(0, at + 3, at + Math.max(3, bytes[at + 2]!));
    at = (bytes[at + 1] ?? 0) & ~3;
  }
  at = 0x100;
  for (let steps = 0; steps < 960 && at >= 0x100 && at + 12 <= bytes.length; steps++) {
    const header = view.getUint32(at, true);
    if ((header & 0xffff) === SERIAL_NUMBER) {
      const serial = bytes.subarray(at + 4, at + 12);
      if (serial.some((byte) => byte !== 0 && byte !== 0xff)) replaceBytes(serial, words);
    }
    const length = view.getUint32(at + 4, true) >>> 20;
    if ((header & 0xffff) === EXTENDED_VENDOR_SPECIFIC) clear(bytes, at + 8, at + length);
    if ((header & 0xffff) === DESIGNATED_VENDOR_SPECIFIC && view.getUint16(at + 4, true) !== CXL)
      clear(bytes, at + 10, at + length);
    at = (header >>> 20) & ~3;
  }
  return bytes;
}

const [IDENTIFY, NAMESPACE, CONTROLLER, PRIMARY, SECONDARIES] = [0x06, 0x00, 0x01, 0x14, 0x15];

/**
 * What a controller answered without serial number, unique ids and the name of its subsystem. Answers that are not known are
 * left out. Source: NVMe Base 2.0 Figure 275, NVM Command Set 1.0 Figure 97.
 */
export function redactIdentify(command: NvmeCommand, data: Uint8Array, words: Words): Uint8Array {
  const bytes = data.slice();
  const kind = (command.cdw10 ?? 0) & 0xff;
  if (command.opcode !== IDENTIFY) return bytes.fill(0);
  if (kind === CONTROLLER) {
    const serial = bytes.subarray(4, 24);
    const text = String.fromCharCode(...serial).trim();
    const said = (text === '' ? '' : words.of('serial', text)).padEnd(20);
    for (let i = 0; i < serial.length; i++) serial[i] = said.charCodeAt(i);
    bytes.fill(0, 112, 128); // FGUID
    bytes.fill(0, 768, 1024); // SUBNQN
    bytes.fill(0, 3072); // vendor specific
  } else if (kind === NAMESPACE) {
    bytes.fill(0, 104, 128); // NGUID, EUI64
    bytes.fill(0, 384); // vendor specific
  } else if (kind !== PRIMARY && kind !== SECONDARIES) bytes.fill(0);
  return bytes;
}

function clear(bytes: Uint8Array, from: number, to: number): void {
  if (from < to) bytes.fill(0, from, to);
}

/** Bytes of a number of its own for each value; such bytes stay what they are. */
function replaceBytes(bytes: Uint8Array, words: Words): void {
  if (viewOf(bytes).getUint32(4, true) === 0) return;
  const number = Number(words.of('serial', toHex(bytes)).replace(/\D/g, ''));
  bytes.fill(0);
  viewOf(bytes).setUint32(0, number, true);
}
