import type { Entry, Fields } from '../../bits/entry.ts';
import { fieldWords } from './masks.ts';
import { addressWidths, CAP_REG, ECAP_REG, registerView } from './registers.ts';
import * as fault from './registers-fault.ts';
import * as global from './registers-global.ts';
import * as queue from './registers-queue.ts';

// Which registers there are, where they lie, and what software may do to each bit of them. VT-d 5.10 §11.3, §11.4.

/** A register, or a row of equal ones. */
export interface RegisterInfo {
  /** As the specification abbreviates it. */
  readonly name: string;
  readonly layout: Entry<Fields>;
  /** Capabilities of which one must be there, as `ECAP.QI`; without them the register is reserved. None: always there. */
  readonly needs: readonly string[];
  /** Byte offset of the first, in a unit with these capabilities. */
  at: (cap: bigint, ecap: bigint) => number;
  /** How many follow one another, each `stride` bytes after the one before. */
  count: (cap: bigint) => number;
  readonly stride: number;
  /** Whether the value comes from how the unit is built; then no definition tells it. */
  readonly configured: boolean;
  /** Whether its bits from the host address width on read as 0. */
  readonly belowHaw: boolean;
}

interface Placement {
  needs?: string | readonly string[];
  at?: RegisterInfo['at'];
  count?: RegisterInfo['count'];
  stride?: number;
  configured?: boolean;
  belowHaw?: boolean;
}

/** Entries differ in their fields; a list of them knows only that they have some. */
type AnyEntry = { readonly name: string; readonly offset: number | undefined; readonly bytes: number };

function register(name: string, layout: AnyEntry, placement: Placement = {}): RegisterInfo {
  const { needs = [], at = () => layout.offset!, count = () => 1, stride = layout.bytes } = placement;
  const { configured = false, belowHaw = false } = placement;
  return {
    name,
    layout: layout as Entry<Fields>,
    needs: typeof needs === 'string' ? [needs] : needs,
    at,
    count,
    stride,
    configured,
    belowHaw,
  };
}

const QI = { needs: 'ECAP.QI' };
const PRS = { needs: 'ECAP.PRS' };
const MTS = { needs: 'ECAP.MTS' };
const ECMDS = { needs: 'CAP.ECMDS' };
const VCS = { needs: 'ECAP.VCS' };
const iro = (ecap: bigint): number => ECAP_REG.get.IRO(registerView(ecap), 0) * 16;

/** All registers that this unit has; performance monitoring (§11.4.13) is not among them. */
export const REGISTERS: readonly RegisterInfo[] = [
  register('VER_REG', global.VER_REG, { configured: true }),
  register('CAP_REG', CAP_REG, { configured: true }),
  register('ECAP_REG', ECAP_REG, { configured: true }),
  register('GCMD_REG', global.GCMD_REG),
  register('GSTS_REG', global.GSTS_REG),
  register('RTADDR_REG', global.RTADDR_REG),
  register('CCMD_REG', queue.CCMD_REG),
  register('FSTS_REG', fault.FSTS_REG),
  register('FECTL_REG', fault.FECTL_REG),
  register('FEDATA_REG', fault.FEDATA_REG),
  register('FEADDR_REG', fault.FEADDR_REG),
  register('FEUADDR_REG', fault.FEUADDR_REG),
  register('PMEN_REG', global.PMEN_REG, { needs: ['CAP.PLMR', 'CAP.PHMR'] }),
  register('PLMBASE_REG', global.PLMBASE_REG, { needs: 'CAP.PLMR' }),
  register('PLMLIMIT_REG', global.PLMLIMIT_REG, { needs: 'CAP.PLMR' }),
  register('PHMBASE_REG', global.PHMBASE_REG, { needs: 'CAP.PHMR' }),
  register('PHMLIMIT_REG', global.PHMLIMIT_REG, { needs: 'CAP.PHMR' }),
  register('IQH_REG', queue.IQH_REG, QI),
  register('IQT_REG', queue.IQT_REG, QI),
  register('IQA_REG', queue.IQA_REG, QI),
  register('ICS_REG', queue.ICS_REG, QI),
  register('IECTL_REG', fault.IECTL_REG, QI),
  register('IEDATA_REG', fault.IEDATA_REG, QI),
  register('IEADDR_REG', fault.IEADDR_REG, QI),
  register('IEUADDR_REG', fault.IEUADDR_REG, QI),
  register('IQERCD_REG', queue.IQERCD_REG, QI),
  register('IRTA_REG', global.IRTA_REG, { needs: 'ECAP.IR' }),
  register('PQH_REG', queue.PQH_REG, PRS),
  register('PQT_REG', queue.PQT_REG, PRS),
  register('PQA_REG', queue.PQA_REG, PRS),
  register('PRS_REG', queue.PRS_REG, PRS),
  register('PECTL_REG', fault.PECTL_REG, PRS),
  register('PEDATA_REG', fault.PEDATA_REG, PRS),
  register('PEADDR_REG', fault.PEADDR_REG, PRS),
  register('PEUADDR_REG', fault.PEUADDR_REG, PRS),
  register('MTRRCAP_REG', global.MTRRCAP_REG, { ...MTS, configured: true }),
  register('MTRRDEF_REG', global.MTRRDEF_REG, MTS),
  register('MTRR_FIX_REG', global.MTRR_FIX_REG, { ...MTS, count: () => 11 }),
  register('MTRR_PHYSBASE_REG', global.MTRR_PHYSBASE_REG, { ...MTS, count: () => 10, stride: 16, belowHaw: true }),
  register('MTRR_PHYSMASK_REG', global.MTRR_PHYSMASK_REG, { ...MTS, count: () => 10, stride: 16, belowHaw: true }),
  register('ECMD_REG', global.ECMD_REG, ECMDS),
  register('ECEO_REG', global.ECEO_REG, ECMDS),
  register('ECRSP_REG', global.ECRSP_REG, ECMDS),
  register('RDTC_REG', global.RDTC_REG, { needs: 'ECAP.RDTS' }),
  register('VCMD_REG', global.VCMD_REG, VCS),
  register('VCMD_EO_REG', global.VCMD_EO_REG, VCS),
  register('VCRSP_REG', global.VCRSP_REG, VCS),
  register('VCCAP_REG', global.VCCAP_REG, { ...VCS, configured: true }),
  register('IVA_REG', queue.IVA_REG, { at: (_, ecap) => iro(ecap) }),
  register('IOTLB_REG', queue.IOTLB_REG, { at: (_, ecap) => iro(ecap) + 8 }),
  register('FRCD_REG', fault.FRCD_REG, {
    at: (cap) => CAP_REG.get.FRO(registerView(cap), 0) * 16,
    count: (cap) => CAP_REG.get.NFR(registerView(cap), 0) + 1,
  }),
];

/** The capabilities that registers and queues look at again and again, as numbers. */
export interface Capabilities {
  /** Bits of the upper half of an address from the host address width on. */
  readonly beyondHaw: number;
  /** The same from the maximum guest address width on. */
  readonly beyondMgaw: number;
  /** Upper half of the addresses that FRCD_REG.FI holds: bits below the largest AGAW. */
  readonly faultInfoHi: number;
  /** Bits that a domain-id has. */
  readonly domainMask: number;
  readonly PSI: number;
  readonly MAMV: number;
  readonly PLMR: number;
  readonly PHMR: number;
  readonly ESRTPS: number;
  readonly ESIRTPS: number;
  readonly QI: number;
  readonly DT: number;
  readonly PRS: number;
  readonly PDS: number;
  readonly DIT: number;
  readonly HPTS: number;
  readonly SMTS: number;
  readonly ADMS: number;
  readonly SMS: number;
  readonly SSIRWS: number;
  readonly PASID: number;
  readonly VCS: number;
  /** PASIDs that ECAP_REG.PSS allows. */
  readonly pasids: number;
  /** Major version 5 or lower: registers may be used to invalidate (VT-d 5.10 §6.5). */
  readonly registerInvalidation: boolean;
}

/** The registers of one unit, as masks over 32-bit words: word n is at byte offset 4n. */
export interface RegisterMap {
  readonly cap: bigint;
  readonly ecap: bigint;
  readonly can: Capabilities;
  /** Bits that a write changes. */
  readonly writable: Int32Array;
  /** Bits that a write of 1 clears. */
  readonly clearable: Int32Array;
  /** Bits that a read shows. */
  readonly readable: Int32Array;
  /** The words after reset. */
  readonly reset: Int32Array;
  /** Words of IVA_REG and of the first fault recording register, and the number of those. */
  readonly IVA: number;
  readonly FRCD: number;
  readonly records: number;
}

/** The fields of CAP_REG and ECAP_REG by the names that definitions use, as `ECAP.QI`. */
function capabilityFields(cap: bigint, ecap: bigint): ReadonlyMap<string, unknown> {
  const named = (register: string, fields: object) =>
    Object.entries(fields).map(([name, value]): [string, unknown] => [`${register}.${name}`, value]);
  return new Map([...named('CAP', CAP_REG.decode(registerView(cap))), ...named('ECAP', ECAP_REG.decode(registerView(ecap)))]);
}

/**
 * Lays out the registers of a unit with these capabilities.
 *
 * @param haw host address width, 32 to 63 bits
 * @throws RangeError when CAP_REG.FRO or ECAP_REG.IRO puts registers where others are
 */
export function mapRegisters(cap: bigint, ecap: bigint, ver: number, haw: number): RegisterMap {
  const can = capabilities(cap, ecap, ver, haw);
  const fields = capabilityFields(cap, ecap);
  const hasOne = (needs: readonly string[]): boolean =>
    needs.length === 0 ||
    needs.some((name) => {
      if (!fields.has(name)) throw new Error(`${name} is no capability`);
      return Boolean(fields.get(name));
    });
  const here = REGISTERS.filter(({ needs }) => hasOne(needs));
  const places = here.flatMap((info) =>
    Array.from({ length: info.count(cap) }, (_, index) => ({ info, word: (info.at(cap, ecap) + index * info.stride) / 4 })),
  );
  const words = Math.max(1024, ...places.map(({ info, word }) => word + info.layout.bytes / 4));
  const owner: (RegisterInfo | undefined)[] = [];
  const writable = new Int32Array(words);
  const clearable = new Int32Array(words);
  const readable = new Int32Array(words);
  const reset = new Int32Array(words);
  for (const { info, word } of places)
    for (let index = 0; index < info.layout.bytes / 4; index++) {
      const at = word + index;
      const other = owner[at];
      if (other) throw new RangeError(`${info.name} at 0x${(word * 4).toString(16)} lies on ${other.name}: see FRO and IRO`);
      owner[at] = info;
      for (const field of info.layout.fields) {
        if (field.kind === 'reserved' || !hasOne(field.needs ?? [])) continue;
        const mask = fieldWords(info.layout, field.name)[index]!;
        if (field.access === 'rw' || field.access === 'wo') writable[at]! |= mask;
        if (field.access === 'rw1c') clearable[at]! |= mask;
        if (field.access !== 'wo') readable[at]! |= mask;
        // A field with a value after reset lies in one word.
        if (field.reset) reset[at]! |= mask & (field.reset << (field.low & 31));
      }
    }
  for (const { info, word } of places) {
    if (!info.belowHaw) continue;
    writable[word + 1]! &= ~can.beyondHaw;
    readable[word + 1]! &= ~can.beyondHaw;
  }
  const set = (name: string, value: bigint): void => {
    const place = places.find(({ info }) => info.name === name);
    if (!place) return;
    reset[place.word] = Number(BigInt.asIntN(32, value));
    if (place.info.layout.bytes === 8) reset[place.word + 1] = Number(BigInt.asIntN(32, value >> 32n));
    // Whoever configures a unit may give it bits that are reserved here; they show as they are.
    for (let index = 0; index < place.info.layout.bytes / 4; index++) readable[place.word + index] = -1;
  };
  set('VER_REG', BigInt(ver));
  set('CAP_REG', cap);
  set('ECAP_REG', ecap);
  set('MTRRCAP_REG', 0x50an);
  set('VCCAP_REG', can.PASID ? 7n : 1n);

  const wordOf = (name: string): number => REGISTERS.find((info) => info.name === name)!.at(cap, ecap) / 4;
  const records = places.filter(({ info }) => info.name === 'FRCD_REG').length;
  const masks = { writable, clearable, readable, reset };
  return { cap, ecap, can, ...masks, IVA: wordOf('IVA_REG'), FRCD: wordOf('FRCD_REG'), records };
}

function capabilities(cap: bigint, ecap: bigint, ver: number, haw: number): Capabilities {
  const { ND, MGAW, SAGAW, PSI, MAMV, PLMR, PHMR, ESRTPS, ESIRTPS } = CAP_REG.decode(registerView(cap));
  const { QI, DT, PRS, PDS, DIT, HPTS, SMTS, ADMS, SMS, SSIRWS, PASID, VCS, PSS } = ECAP_REG.decode(registerView(ecap));
  const widths = addressWidths(SAGAW);
  const domainMask = (1 << (4 + 2 * Math.min(ND, 6))) - 1;
  const pasids = 2 ** Math.min(PSS + 1, 20);
  const registerInvalidation = ver >>> 4 <= 5;
  return {
    beyondHaw: -1 << (haw - 32),
    // MGAW is a width less 1, of up to 64 bits.
    beyondMgaw: MGAW >= 63 ? 0 : -1 << Math.max(0, MGAW + 1 - 32),
    faultInfoHi: widths.length === 0 ? -1 : ~(-1 << (Math.max(...widths) - 32)),
    domainMask,
    PSI,
    MAMV,
    PLMR,
    PHMR,
    ESRTPS,
    ESIRTPS,
    QI,
    DT,
    PRS,
    PDS,
    DIT,
    HPTS,
    SMTS,
    ADMS,
    SMS,
    SSIRWS,
    PASID,
    VCS,
    pasids,
    registerInvalidation,
  };
}
