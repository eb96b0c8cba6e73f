import { parseAmdEvent } from './amdvi.ts';
import type { Fault } from './meaning.ts';
import { parseVtdLine } from './vtd.ts';

export * from './amdvi.ts';
export * from './meaning.ts';
export * from './vtd.ts';
export { type Cause, REASONS } from './vtd-reasons.ts';

/** Longest piece of a line that is looked at; the longest fault line has about 200 characters. */
const LONGEST = 1000;

/** The fault, event or status of a remapping unit that a line of the kernel log reports; undefined when it reports none. */
export function parseFault(text: string): Fault | undefined {
  const line = text.length > LONGEST ? text.slice(0, LONGEST) : text;
  return parseVtdLine(line) ?? parseAmdEvent(line);
}

/** Faults of an Arm SMMU: of another kind of unit than Sluice knows. */
export function isSmmuFault(text: string): boolean {
  return /arm-smmu(-v3)?[ .].{0,80}?(event 0x[0-9a-f]+ received|Unhandled context fault|Blocked unknown Stream ID|event: \w+ client)/.test(
    text.slice(0, LONGEST),
  );
}
