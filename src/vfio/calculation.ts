/** A line of a calculation, with what it stands on. */
export interface CalculationLine {
  /** `4294967296 bytes / 4096 bytes = 1048576 mappings` */
  text: string;
  /** Specification and revision, or a path in the kernel or QEMU. */
  source: string;
}

/** A number that is shown with how it came about, and held against what there is. */
export interface Calculation {
  lines: CalculationLine[];
  result: number;
  /** Whether the result is within its limit. */
  fits: boolean;
}
