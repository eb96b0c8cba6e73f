import { INTERRUPT_CONDITIONS } from './faults-interrupt.ts';

/** What a request gets that meets a condition. Reads without a completion of their own (writes, say) are dropped. */
export type Answer =
  /** Unsupported Request, and Completer Abort. */
  | 'UR'
  | 'CA'
  /** Success with R = W = U = S = 0: the device may report it and try again. It is no fault. */
  | 'none'
  /** The same, and a fault is reported as well. */
  | 'none+report'
  /** Success with the permissions there are. */
  | 'effective'
  /** Success with W = U = 1: the device may write to the address untranslated. */
  | 'untranslated'
  /** Page requests: Invalid Request, or dropped. */
  | 'IR'
  | 'drop'
  /** Requests of this kind do not meet the condition. */
  | 'NA';

/** Kinds of requests, as the columns of Table 30: each twice, without and with PASID (page requests: with and without response). */
export const UNTRANSLATED = 0;
export const TRANSLATION = 2;
export const TRANSLATED = 4;
export const PAGE_REQUEST = 6;

/** One row of the table. */
export interface Condition {
  /** The condition code, as `SSS.3`. */
  readonly code: string;
  /** What FRCD_REG.FR says; 0 for the special conditions, which are no faults. */
  readonly reason: number;
  /** Whether FPD in one of the entries read silences it. */
  readonly qualified: boolean;
  readonly says: string;
  /** What requests get, by kind: `answers[TRANSLATION + 1]` is that of translation requests with PASID. */
  readonly answers: readonly Answer[];
}

function row(code: string, reason: number, qualified: boolean, answers: string, says: string): Condition {
  return { code, reason, qualified, says, answers: answers.split(' ') as Answer[] };
}

const NO_INTERRUPT = INTERRUPT_CONDITIONS['29h'];

/**
 * Why a request is not translated: the rows of VT-d 5.10 Table 30 in their order, without those that only head a group
 * (LCT.4.0 and the like). The last row is the one of Table 15 that memory requests meet.
 */
export const CONDITIONS: readonly Condition[] = [
  row('LRT.1', 0x08, false, 'UR NA CA NA UR NA NA NA', 'the root entry cannot be read'),
  row('LRT.2', 0x01, false, 'UR NA UR NA UR NA NA NA', 'the root entry is not present'),
  row('LRT.3', 0x0a, false, 'UR NA CA NA UR NA NA NA', 'reserved bits of a present root entry are set'),
  row('LCT.1', 0x09, false, 'UR NA CA NA UR NA NA NA', 'the context entry cannot be read'),
  row('LCT.2', 0x02, true, 'UR NA UR NA UR NA NA NA', 'the context entry is not present'),
  row('LCT.3', 0x0b, true, 'UR NA CA NA UR NA NA NA', 'reserved bits of a present context entry are set'),
  row('LCT.4.1', 0x03, true, 'UR NA CA NA UR NA NA NA', 'AW of the context entry is a width that this unit does not have'),
  row('LCT.4.2', 0x03, true, 'UR NA CA NA UR NA NA NA', 'TT of the context entry is a type that this unit does not have'),
  row('LCT.4.3', 0x03, true, 'UR NA CA NA NA NA NA NA', 'the table at SSPTPTR of the context entry cannot be read'),
  row(
    'LCT.5',
    0x0d,
    true,
    'NA NA UR NA UR NA NA NA',
    'TT of the context entry blocks translation requests and translated requests',
  ),
  row('LSS.1', 0x07, true, 'UR NA CA NA NA NA NA NA', 'a second-stage entry leads to a table that cannot be read'),
  row('LSS.2', 0x0c, true, 'UR NA CA NA NA NA NA NA', 'reserved bits of a second-stage entry are set'),
  row('LGN.1.1', 0x04, true, 'UR NA none NA NA NA NA NA', 'the address is beyond the guest address width'),
  row('LGN.1.2', 0x04, true, 'NA NA NA NA UR NA NA NA', 'the address of a translated request is beyond the host address width'),
  row('LGN.1.3', 0x04, true, 'UR NA NA NA NA NA NA NA', 'the address is beyond the host address width, in pass-through'),
  row('LGN.2', 0x05, true, 'UR NA effective NA NA NA NA NA', 'no write permission'),
  row('LGN.3', 0x06, true, 'UR NA effective NA NA NA NA NA', 'no read permission'),
  row('LGN.4', 0x0e, true, 'UR NA CA NA UR NA NA NA', 'the output address is in the interrupt address range'),
  row('RTA.1.1', 0x30, false, 'UR UR CA CA UR UR IR drop', 'TTM is 11b, and this unit has no abort-DMA mode'),
  row('RTA.1.2', 0x30, false, 'UR UR CA CA UR UR IR drop', 'TTM is 10b, which is reserved'),
  row('RTA.1.3', 0x30, false, 'UR UR CA CA UR UR IR drop', 'TTM is 01b, and this unit has no scalable mode'),
  row('RTA.1.4', 0x30, false, 'UR NA CA NA UR NA NA NA', 'SSIRWE is set in legacy mode'),
  row('RTA.2', 0x31, false, 'NA UR NA UR NA UR NA NA', 'a request with PASID in legacy mode'),
  row('RTA.3', 0x32, false, 'NA NA NA NA NA NA IR drop', 'a page request in legacy mode'),
  row('RTA.4', 0x33, false, 'UR UR UR UR UR UR IR drop', 'abort-DMA mode blocks every request'),
  row('RTA.5', 0x34, false, 'NA UR NA UR NA UR NA NA', 'a request with Execute-Requested, which units from version 8 on refuse'),
  row('SRT.1', 0x38, false, 'UR UR CA CA UR UR IR drop', 'the scalable-mode root entry cannot be read'),
  row('SRT.2', 0x39, false, 'UR UR UR UR UR UR IR drop', 'the half of the scalable-mode root entry is not present'),
  row('SRT.3', 0x3a, false, 'UR UR CA CA UR UR IR drop', 'reserved bits of a present half of a scalable-mode root entry are set'),
  row('SCT.1', 0x40, false, 'UR UR CA CA UR UR IR drop', 'the scalable-mode context entry cannot be read'),
  row('SCT.2', 0x41, true, 'UR UR UR UR UR UR IR drop', 'the scalable-mode context entry is not present'),
  row('SCT.3', 0x42, true, 'UR UR CA CA UR UR IR drop', 'reserved bits of a present scalable-mode context entry are set'),
  row('SCT.4.1', 0x43, true, 'UR UR CA CA UR UR IR drop', 'PRE is set without DTE in the scalable-mode context entry'),
  row(
    'SCT.4.2',
    0x43,
    true,
    'UR UR CA CA UR UR IR drop',
    'RID_PASID is larger than the PASID directory of the scalable-mode context entry',
  ),
  row('SCT.4.3', 0x43, true, 'UR NA CA NA UR UR IR drop', 'EPTR is set without PASIDE in the scalable-mode context entry'),
  row('SCT.5', 0x44, true, 'NA NA UR UR UR UR NA NA', 'DTE of the scalable-mode context entry is 0'),
  row('SCT.6', 0x45, true, 'NA UR NA UR NA NA IR drop', 'PASIDE of the scalable-mode context entry is 0'),
  row('SCT.7', 0x46, true, 'NA UR NA UR NA UR IR drop', 'the PASID is larger than the PASID directory'),
  row('SCT.8', 0x47, true, 'NA NA NA NA NA NA IR drop', 'PRE of the scalable-mode context entry is 0'),
  row('SCT.9', 0x48, true, 'NA UR NA UR NA UR IR drop', 'the PASID is that of requests without PASID, RID_PASID'),
  row('SCT.10', 0x49, true, 'NA NA NA NA NA UR NA NA', 'EPTR of the scalable-mode context entry is 0'),
  row('SPD.1', 0x50, false, 'UR UR CA CA CA CA IR drop', 'the PASID directory entry cannot be read'),
  row('SPD.2', 0x51, true, 'UR UR none none UR UR IR drop', 'the PASID directory entry is not present'),
  row('SPD.3', 0x52, true, 'UR UR CA CA CA CA IR drop', 'reserved bits of a present PASID directory entry are set'),
  row('SPT.1', 0x58, false, 'UR UR CA CA CA CA IR drop', 'the PASID table entry cannot be read'),
  row('SPT.2', 0x59, true, 'UR UR none none UR UR IR drop', 'the PASID table entry is not present'),
  row('SPT.3', 0x5a, true, 'UR UR CA CA CA CA IR drop', 'reserved bits of a present PASID table entry are set'),
  row('SPT.4.1', 0x5b, true, 'UR UR CA CA CA CA IR drop', 'AW of the PASID table entry is a width that this unit does not have'),
  row('SPT.4.2', 0x5b, true, 'UR UR CA CA CA CA IR drop', 'PGTT of the PASID table entry is a type that this unit does not have'),
  row('SPT.4.3', 0x5b, true, 'UR UR CA CA CA CA IR drop', 'FSPM of the PASID table entry is a mode that this unit does not have'),
  row('SPT.4.4', 0x5b, true, 'UR UR CA CA CA CA IR drop', 'FSPTPTR of the PASID table entry is beyond the guest address width'),
  row('SPT.5', 0x5c, true, 'NA UR NA none NA NA NA NA', 'a request with Execute-Requested, which this unit does not support'),
  row('SPT.6', 0x5d, true, 'UR UR none none NA NA NA NA', 'SRE of the PASID table entry is 0, and the request is privileged'),
  row('SPT.9', 0x60, true, 'NA NA NA NA UR UR NA NA', 'the address of a translated request is beyond the host permission table'),
  row('SFS.1', 0x70, true, 'UR UR none none NA NA NA NA', 'a first-stage entry leads to a table that cannot be read'),
  row('SFS.2', 0x71, true, 'UR UR none none NA NA NA NA', 'a first-stage entry is not present'),
  row('SFS.3', 0x72, true, 'UR UR none none NA NA NA NA', 'reserved bits of a present first-stage entry are set'),
  row('SFS.4', 0x73, true, 'UR UR none none NA NA NA NA', 'the table at FSPTPTR cannot be read'),
  row('SFS.5', 0x74, true, 'UR UR none none NA NA NA NA', 'the address in a first-stage entry is beyond the guest address width'),
  row('SFS.6', 0x75, true, 'UR UR none none NA NA NA NA', 'the second stage does not let the table at FSPTPTR be read'),
  row('SFS.7', 0x76, true, 'UR UR none none NA NA NA NA', 'the second stage does not let a first-stage table be read'),
  row(
    'SFS.8',
    0x77,
    true,
    'UR UR none none NA NA NA NA',
    'the second stage does not let flags of a first-stage entry be updated',
  ),
  row('SFS.9', 0x90, true, 'UR UR none none NA NA NA NA', 'flags of a first-stage entry would be updated without snooping'),
  row('SFS.10', 0x91, true, 'UR UR none+report none+report NA NA NA NA', 'flags of a first-stage entry could not be updated'),
  row('SSS.1', 0x78, true, 'UR UR CA CA NA NA NA NA', 'a second-stage entry leads to a table that cannot be read'),
  row('SSS.2', 0x79, true, 'UR UR none none NA NA NA NA', 'the second stage permits neither reading nor writing'),
  row('SSS.3', 0x7a, true, 'UR UR CA CA NA NA NA NA', 'reserved bits of a second-stage entry are set'),
  row('SSS.4', 0x7b, true, 'UR UR CA CA NA NA NA NA', 'the table at SSPTPTR of the PASID table entry cannot be read'),
  row('SSS.5', 0x7c, true, 'UR UR CA CA NA NA NA NA', 'flags of a second-stage entry would be updated without snooping'),
  row('SSS.6', 0x7d, true, 'UR UR CA CA NA NA NA NA', 'flags of a second-stage entry could not be updated'),
  row('SGN.1', 0x80, true, 'UR UR none none NA NA NA NA', 'the address is not canonical'),
  row('SGN.2', 0x81, true, 'UR UR none none NA NA NA NA', 'a user request to a supervisor page'),
  row('SGN.4.1', 0x83, true, 'NA NA NA NA UR UR NA NA', 'the address of a translated request is beyond the host address width'),
  row('SGN.4.2', 0x83, true, 'UR UR none none NA NA NA NA', 'the address is beyond the host address width, in pass-through'),
  row('SGN.5', 0x84, true, 'UR UR none none NA NA NA NA', 'the address is beyond the guest address width'),
  row('SGN.6', 0x85, true, 'UR UR effective effective NA NA NA NA', 'no write permission'),
  row('SGN.7', 0x86, true, 'UR UR effective effective NA NA NA NA', 'no read permission'),
  row('SGN.8.1', 0x87, true, 'UR UR NA NA NA NA NA NA', 'the output address is in the interrupt address range'),
  row('SGN.8.2', 0x87, true, 'NA NA CA CA NA NA NA NA', 'the page of a translation request overlaps the interrupt address range'),
  row('SGN.8.3', 0x87, true, 'NA NA NA NA UR UR NA NA', 'the address of a translated request is in the interrupt address range'),
  row('SGN.10', 0x89, true, 'NA UR NA UR NA UR NA NA', 'the PASID is wider than this unit supports'),
  row('HPT.1', 0xa0, true, 'NA NA NA NA CA CA NA NA', 'an HPT entry leads to a table that cannot be read'),
  row('HPT.2', 0xa1, true, 'NA NA NA NA CA CA NA NA', 'reserved bits of an HPT entry are set'),
  row('HPT.3', 0xa2, true, 'NA NA NA NA CA CA NA NA', 'the table at HPTPTR cannot be read'),
  row('HPT.4', 0xa3, true, 'NA NA NA NA UR UR NA NA', 'the HPT has no permissions for a zero-length read'),
  row('HPT.5', 0xa4, true, 'NA NA NA NA UR UR NA NA', 'the HPT does not permit writing'),
  row('HPT.6', 0xa5, true, 'NA NA NA NA UR UR NA NA', 'the HPT does not permit reading'),
  row('S.1', 0, false, 'NA NA untranslated NA NA NA NA NA', 'a translation request for the interrupt address range'),
  row('S.2', 0, false, 'NA NA none NA NA NA NA NA', 'a read-only translation request for the interrupt address range'),
  row('29h', NO_INTERRUPT.reason, NO_INTERRUPT.qualified, 'UR NA NA NA NA NA NA NA', NO_INTERRUPT.says),
];

/** A request was refused without a fault: nothing is reported, whatever FPD says. */
export const BLOCKED = -1;

/**
 * The number by which functions of the unit name a condition: its place in `CONDITIONS` and 1, so that 0 is none.
 * @throws Error when there is no such row
 */
export function numberOf(code: string): number {
  const at = CONDITIONS.findIndex((each) => each.code === code);
  if (at < 0) throw new Error(`Table 30 has no row ${code}`);
  return at + 1;
}

/** The row of a number; undefined for 0 and BLOCKED. */
export function conditionOf(number: number): Condition | undefined {
  return CONDITIONS[number - 1];
}

/** Whether a request of a kind that meets a condition has it reported, if FPD does not silence it. VT-d 5.10 §7.1. */
export function isFault({ answers, reason }: Condition, kind: number): boolean {
  const answer = answers[kind]!;
  return reason !== 0 && answer !== 'none' && answer !== 'effective';
}
