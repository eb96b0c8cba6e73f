import { mapRegisters } from '../src/iommu/vtd/register-map.ts';
import type { Devices, Invalidations, PageGroupAnswer, RegisterUnit } from '../src/iommu/vtd/register-state.ts';
import { newRegisterState } from '../src/iommu/vtd/register-state.ts';
import { newInterruptRules } from '../src/iommu/vtd/remap.ts';
import { newActive } from '../src/iommu/vtd/state.ts';
import { Memory } from '../src/memory/memory.ts';

/** What a unit did, in order: `["invalidateIotlb", 3, 5, 0x1000, 0, 0, 0]`. */
export type Call = readonly [name: string, ...values: unknown[]];

export interface RecordingUnit extends RegisterUnit {
  readonly calls: Call[];
  readonly messages: { lo: number; hi: number; data: number }[];
  readonly responses: PageGroupAnswer[];
}

/** Capabilities of a unit that can nearly everything: 16 fault records at 0x400, IOTLB registers at 0x500. */
export const CAP =
  0x6n | // ND: 16 bits
  (1n << 5n) | // PLMR
  (1n << 6n) | // PHMR
  (0xen << 8n) | // SAGAW
  (56n << 16n) | // MGAW
  (0x40n << 24n) | // FRO
  (3n << 34n) | // SSLPS
  (1n << 39n) | // PSI
  (15n << 40n) | // NFR
  (18n << 48n); // MAMV
export const ECAP =
  0x1fn | // C QI DT IR EIM
  (0x50n << 8n) | // IRO
  (1n << 29n) | // PRS
  (19n << 35n) | // PSS
  (1n << 40n) | // PASID
  (1n << 42n) | // PDS
  (1n << 43n) | // SMTS
  (1n << 52n); // ADMS

/** Registers with caches and devices that only write down what they are told. */
export function recordingUnit(
  about: { cap?: bigint; ecap?: bigint; ver?: number; haw?: number; devices?: Partial<Devices> } = {},
): RecordingUnit {
  const { cap = CAP, ecap = ECAP, ver = 0x10, haw = 46, devices = {} } = about;
  const map = mapRegisters(cap, ecap, ver, haw);
  const calls: Call[] = [];
  const messages: RecordingUnit['messages'] = [];
  const responses: PageGroupAnswer[] = [];
  const recorder = new Proxy(
    {},
    {
      get:
        (_, name) =>
        (...values: unknown[]) =>
          // Nothing is dropped by it.
          name === 'forgetSpaces' ? undefined : void calls.push([String(name), ...values]),
    },
  );
  return {
    map,
    registers: newRegisterState(map),
    memory: new Memory([
      { start: 0, end: 0x80000000 },
      { start: 0x100000000, end: 0x180000000 },
    ]),
    active: newActive(),
    interruptRules: newInterruptRules(cap, ecap, haw),
    caches: recorder as Invalidations,
    interruptEntries: recorder as RegisterUnit['interruptEntries'],
    devices: { invalidate: () => 'completed', respond: (answer) => void responses.push(answer), ...devices },
    send: (lo, hi, data) => void messages.push({ lo: lo >>> 0, hi, data }),
    calls,
    messages,
    responses,
  };
}
