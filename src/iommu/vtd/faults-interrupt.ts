/** One row of Table 15. */
export interface InterruptCondition {
  /** The code in FRCD_REG.FR. */
  readonly reason: number;
  /** Whether IRTE.FPD silences it. */
  readonly qualified: boolean;
  /** Whether FRCD_REG.FI holds the interrupt_index in bits 63:48 (VT-d 5.10 §11.4.7.6); otherwise it is undefined. */
  readonly index: boolean;
  readonly says: string;
}

const condition = (reason: number, qualified: boolean, index: boolean, says: string): InterruptCondition => ({
  reason,
  qualified,
  index,
  says,
});

/**
 * Why an interrupt request is blocked: all rows of VT-d 5.10 Table 15, by the reason as the table prints it. Each request
 * that meets one is an Unsupported Request. The rows are in the order of the table, not in that of the checks.
 */
export const INTERRUPT_CONDITIONS = {
  '20h': condition(0x20, false, false, 'reserved data bits of a remappable request are set'),
  '21h': condition(0x21, false, true, 'the index is beyond the table, or its entry beyond the host address width'),
  '22h': condition(0x22, true, true, 'the IRTE is not present'),
  '23h': condition(0x23, false, true, 'the table leads outside memory'),
  '24h': condition(0x24, true, true, 'reserved bits of a present IRTE are set'),
  '25h': condition(0x25, false, false, 'compatibility format is not allowed: EIME is 1 or CFIS is 0'),
  '26h': condition(0x26, true, true, 'the requester is not the one that the IRTE allows'),
  '27h': condition(0x27, true, true, 'the posted interrupt descriptor cannot be read and written'),
  '28h': condition(0x28, true, true, 'reserved bits of the posted interrupt descriptor are set'),
  '29h': condition(0x29, false, false, 'a request without PASID to FEEx_xxxxh that is no interrupt'),
  '2Ah': condition(0x2a, false, false, 'EIME is 0 and this unit requires it (EIMER)'),
  '2Bh': condition(0x2b, false, false, 'remapping is off and this unit requires it (IRREQ)'),
} as const satisfies Record<string, InterruptCondition>;

const BY_REASON = new Map<number, InterruptCondition>(Object.values(INTERRUPT_CONDITIONS).map((row) => [row.reason, row]));

/** The row of a fault reason, or undefined when it is not one of interrupts. */
export function interruptCondition(reason: number): InterruptCondition | undefined {
  return BY_REASON.get(reason);
}
