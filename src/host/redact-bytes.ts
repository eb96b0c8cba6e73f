import { toHex, viewOf } from '../bits/index.ts';
import type { NvmeCommand } from './host.ts';
import type { Words } from './redact-words.ts';

const [VITAL_PRODUCT_DATA, SERIAL_NUMBER] = [0x03, 0x0003];

/**
 * Configuration space without the Device Serial Number and without what lies in the window of the Vital Product Data, both of
 * which tell one card from all others. Source: PCIe 6.0 §7.9.3, PCI 3.0 Appendix I.
 */
export function redactConfig(config: Uint8Array, words: Words): Uint8Array {
  const bytes = config.slice();
  const view = viewOf(bytes);
  let at = (bytes[0x34] ?? 0) & ~3;
  for (let steps = 0; steps < 48 && at >= 0x40 && at + 8 <= bytes.length; steps++) {
    if (bytes[at] === VITAL_PRODUCT_DATA) bytes.fill(0, at + 4, at + 8);
    at = (bytes[at + 1] ?? 0) & ~3;
  }
  at = 0x100;
  for (let steps = 0; steps < 960 && at >= 0x100 && at + 12 <= bytes.length; steps++) {
    const header = view.getUint32(at, true);
    if ((header & 0xffff) === SERIAL_NUMBER) {
      const serial = bytes.subarray(at + 4, at + 12);
      if (serial.some((byte) => byte !== 0 && byte !== 0xff)) replaceBytes(serial, words);
    }
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

/** Bytes of a number of its own for each value. */
function replaceBytes(bytes: Uint8Array, words: Words): void {
  const number = Number(words.of('serial', toHex(bytes)).replace(/\D/g, ''));
  bytes.fill(0);
  viewOf(bytes).setUint32(0, number, true);
}
