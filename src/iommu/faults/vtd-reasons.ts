/** What kind of thing stopped a request. */
export type Cause =
  /** The requester has no domain: its root, context or PASID entry is not present. */
  | 'no-domain'
  /** It has one, and nothing is mapped at the address, or not for this access. */
  | 'not-mapped'
  /** An entry holds what the hardware does not take, or leads where there is no memory. */
  | 'bad-tables'
  /** The address has more bits than the unit or the domain. */
  | 'too-wide'
  /** Translation requests, translated requests or page requests are not allowed for it. */
  | 'ats'
  /** The address leads into the window of interrupts. */
  | 'interrupt-window'
  /** An interrupt request was blocked. */
  | 'interrupt'
  /** The PASID is not allowed or too large. */
  | 'pasid'
  /** The unit itself failed. */
  | 'hardware'
  /** Memory that the firmware of a confidential guest protects. */
  | 'rmp';

export interface Reason {
  /** Condition codes of the table. */
  conditions: string;
  cause: Cause;
  says: string;
  /** The kernel's words, to tell a number and a text that do not belong together. Source: Linux drivers/iommu/intel/dmar.c. */
  kernel?: string;
}

const reason = (conditions: string, cause: Cause, says: string, kernel?: string): Reason => ({
  conditions,
  cause,
  says,
  ...(kernel === undefined ? {} : { kernel }),
});

/** Fault reasons of DMA and of interrupts by number. VT-d 5.10 §7.1.3 Table 30 and §5.1.4.1 Table 15. */
export const REASONS: Readonly<Record<number, Reason>> = {
  0x1: reason('LRT.2', 'no-domain', 'the root entry of the bus is not present', 'Present bit in root entry is clear'),
  0x2: reason('LCT.2', 'no-domain', 'the context entry of the requester is not present', 'Present bit in context entry is clear'),
  0x3: reason(
    'LCT.4',
    'bad-tables',
    'the context entry holds an address width, translation type or pointer that the unit does not take',
    'Invalid context entry',
  ),
  0x4: reason('LGN.1', 'too-wide', 'the address is beyond the width of the domain or the unit', 'Access beyond MGAW'),
  0x5: reason('LGN.2', 'not-mapped', 'no write permission at the address', 'PTE Write access is not set'),
  0x6: reason('LGN.3', 'not-mapped', 'no read permission at the address', 'PTE Read access is not set'),
  0x7: reason('LSS.1', 'bad-tables', 'a paging entry leads outside memory', 'Next page table ptr is invalid'),
  0x8: reason('LRT.1', 'bad-tables', 'the root table cannot be read', 'Root table address invalid'),
  0x9: reason('LCT.1', 'bad-tables', 'the context table cannot be read', 'Context table ptr is invalid'),
  0xa: reason('LRT.3', 'bad-tables', 'reserved bits are set in the root entry', 'non-zero reserved fields in RTP'),
  0xb: reason('LCT.3', 'bad-tables', 'reserved bits are set in the context entry', 'non-zero reserved fields in CTP'),
  0xc: reason('LSS.2', 'bad-tables', 'reserved bits are set in a paging entry', 'non-zero reserved fields in PTE'),
  0xd: reason(
    'LCT.5',
    'ats',
    'the context entry allows no translation requests and no translated requests',
    'PCE for translation request specifies blocking',
  ),
  0xe: reason('LGN.4', 'interrupt-window', 'the address after translation is in the interrupt range FEEx_xxxxh'),
  0x20: reason(
    '-',
    'interrupt',
    'reserved bits are set in the interrupt request',
    'Detected reserved fields in the decoded interrupt-remapped request',
  ),
  0x21: reason(
    '-',
    'interrupt',
    'its index is beyond the interrupt-remapping table',
    'Interrupt index exceeded the interrupt-remapping table size',
  ),
  0x22: reason(
    '-',
    'interrupt',
    'the interrupt-remapping entry (IRTE) is not present',
    'Present field in the IRTE entry is clear',
  ),
  0x23: reason(
    '-',
    'interrupt',
    'the interrupt-remapping table cannot be read',
    'Error accessing interrupt-remapping table pointed by IRTA_REG',
  ),
  0x24: reason('-', 'interrupt', 'reserved bits are set in the IRTE', 'Detected reserved fields in the IRTE entry'),
  0x25: reason(
    '-',
    'interrupt',
    'an interrupt in compatibility format was blocked',
    'Blocked a compatibility format interrupt request',
  ),
  0x26: reason(
    '-',
    'interrupt',
    'the requester is not the one that the IRTE is for',
    'Blocked an interrupt request due to source-id verification failure',
  ),
  0x27: reason('-', 'interrupt', 'the posted-interrupt descriptor cannot be read'),
  0x28: reason('-', 'interrupt', 'reserved bits are set in the posted-interrupt descriptor'),
  0x29: reason('-', 'interrupt', 'a request to the interrupt range FEEx_xxxxh is no valid interrupt'),
  0x2a: reason('-', 'interrupt', 'the unit needs extended interrupt mode (EIME), which is off'),
  0x2b: reason('-', 'interrupt', 'the unit requires interrupt remapping, which is off'),
  0x30: reason('RTA.1', 'bad-tables', 'RTADDR_REG holds a mode that the unit does not take', 'SM: Invalid Root Table Address'),
  0x31: reason(
    'RTA.2',
    'pasid',
    'a request with a PASID came while the unit is in legacy mode',
    'SM: TTM 0 for request with PASID',
  ),
  0x32: reason('RTA.3', 'ats', 'a page request came while the unit is in legacy mode', 'SM: TTM 0 for page group request'),
  0x33: reason('RTA.4', 'no-domain', 'the unit is in abort-DMA mode'),
  0x34: reason('RTA.5', 'pasid', 'the request asks to execute, which the unit does not support'),
  0x38: reason('SRT.1', 'bad-tables', 'the scalable-mode root table cannot be read', 'SM: Error attempting to access Root Entry'),
  0x39: reason(
    'SRT.2',
    'no-domain',
    'the scalable-mode root entry of the bus is not present',
    'SM: Present bit in Root Entry is clear',
  ),
  0x3a: reason(
    'SRT.3',
    'bad-tables',
    'reserved bits are set in the scalable-mode root entry',
    'SM: Non-zero reserved field set in Root Entry',
  ),
  0x40: reason(
    'SCT.1',
    'bad-tables',
    'the scalable-mode context table cannot be read',
    'SM: Error attempting to access Context Entry',
  ),
  0x41: reason(
    'SCT.2',
    'no-domain',
    'the scalable-mode context entry of the requester is not present',
    'SM: Present bit in Context Entry is clear',
  ),
  0x42: reason(
    'SCT.3',
    'bad-tables',
    'reserved bits are set in the scalable-mode context entry',
    'SM: Non-zero reserved field set in the Context Entry',
  ),
  0x43: reason('SCT.4', 'bad-tables', 'the scalable-mode context entry contradicts itself', 'SM: Invalid Context Entry'),
  0x44: reason('SCT.5', 'ats', 'the context entry allows no Device-TLB (DTE is 0)', 'SM: DTE field in Context Entry is clear'),
  0x45: reason(
    'SCT.6',
    'pasid',
    'the context entry allows no PASID (PASIDE is 0)',
    'SM: PASID Enable field in Context Entry is clear',
  ),
  0x46: reason(
    'SCT.7',
    'pasid',
    'the PASID is larger than the directory of the requester',
    'SM: PASID is larger than the max in Context Entry',
  ),
  0x47: reason('SCT.8', 'ats', 'the context entry allows no page requests (PRE is 0)', 'SM: PRE field in Context-Entry is clear'),
  0x48: reason(
    'SCT.9',
    'pasid',
    'the PASID is the one that stands for requests without a PASID (RID_PASID)',
    'SM: RID_PASID field error in Context-Entry',
  ),
  0x49: reason('SCT.10', 'pasid', 'the context entry allows no PASID in translated requests (EPTR is 0)'),
  0x50: reason(
    'SPD.1',
    'bad-tables',
    'the PASID directory cannot be read',
    'SM: Error attempting to access the PASID Directory Entry',
  ),
  0x51: reason('SPD.2', 'no-domain', 'the PASID directory entry is not present', 'SM: Present bit in Directory Entry is clear'),
  0x52: reason(
    'SPD.3',
    'bad-tables',
    'reserved bits are set in the PASID directory entry',
    'SM: Non-zero reserved field set in PASID Directory Entry',
  ),
  0x58: reason('SPT.1', 'bad-tables', 'the PASID table cannot be read', 'SM: Error attempting to access PASID Table Entry'),
  0x59: reason('SPT.2', 'no-domain', 'the PASID table entry is not present', 'SM: Present bit in PASID Table Entry is clear'),
  0x5a: reason(
    'SPT.3',
    'bad-tables',
    'reserved bits are set in the PASID table entry',
    'SM: Non-zero reserved field set in PASID Table Entry',
  ),
  0x5b: reason(
    'SPT.4',
    'bad-tables',
    'the PASID table entry holds a width, type or paging mode that the unit does not take',
    'SM: Invalid Scalable-Mode PASID Table Entry',
  ),
  0x5c: reason(
    'SPT.5',
    'pasid',
    'the request asks to execute, which the unit does not support',
    'SM: ERE field is clear in PASID Table Entry',
  ),
  0x5d: reason(
    'SPT.6',
    'pasid',
    'the PASID table entry allows no supervisor requests (SRE is 0)',
    'SM: SRE field is clear in PASID Table Entry',
  ),
  0x60: reason('SPT.9', 'ats', 'a translated address is beyond the host permission table'),
  0x70: reason(
    'SFS.1',
    'bad-tables',
    'a first-stage paging entry cannot be read',
    'SM: Error attempting to access first-level paging entry',
  ),
  0x71: reason(
    'SFS.2',
    'not-mapped',
    'a first-stage paging entry is not present',
    'SM: Present bit in first-level paging entry is clear',
  ),
  0x72: reason(
    'SFS.3',
    'bad-tables',
    'reserved bits are set in a first-stage paging entry',
    'SM: Non-zero reserved field set in first-level paging entry',
  ),
  0x73: reason(
    'SFS.4',
    'bad-tables',
    'the first-stage table of the PASID cannot be read',
    'SM: Error attempting to access FL-PML4 entry',
  ),
  0x74: reason(
    'SFS.5',
    'too-wide',
    'nested: a first-stage entry holds an address beyond the second stage',
    'SM: First-level entry address beyond MGAW in Nested translation',
  ),
  0x75: reason(
    'SFS.6',
    'not-mapped',
    'nested: the second stage allows no reading of the first-stage root',
    'SM: Read permission error in FL-PML4 entry in Nested translation',
  ),
  0x76: reason(
    'SFS.7',
    'not-mapped',
    'nested: the second stage allows no reading of a first-stage entry',
    'SM: Read permission error in first-level paging entry in Nested translation',
  ),
  0x77: reason(
    'SFS.8',
    'not-mapped',
    'nested: the second stage allows no writing of Accessed and Dirty bits',
    'SM: Write permission error in first-level paging entry in Nested translation',
  ),
  0x78: reason(
    'SSS.1',
    'bad-tables',
    'a second-stage paging entry cannot be read',
    'SM: Error attempting to access second-level paging entry',
  ),
  0x79: reason(
    'SSS.2',
    'not-mapped',
    'a second-stage paging entry allows neither reading nor writing',
    'SM: Read/Write permission error in second-level paging entry',
  ),
  0x7a: reason(
    'SSS.3',
    'bad-tables',
    'reserved bits are set in a second-stage paging entry',
    'SM: Non-zero reserved field set in second-level paging entry',
  ),
  0x7b: reason('SSS.4', 'bad-tables', 'the second-stage table cannot be read', 'SM: Invalid second-level page table pointer'),
  0x7c: reason(
    'SSS.5',
    'bad-tables',
    'Accessed and Dirty bits cannot be written: the unit does not snoop here',
    'SM: A/D bit update needed in second-level entry when set up in no snoop',
  ),
  0x7d: reason('SSS.6', 'bad-tables', 'Accessed and Dirty bits of the second stage could not be written'),
  0x80: reason(
    'SGN.1',
    'too-wide',
    'the address is not canonical for the first stage',
    'SM: Address in first-level translation is not canonical',
  ),
  0x81: reason(
    'SGN.2',
    'not-mapped',
    'a user request to a supervisor page',
    'SM: U/S set 0 for first-level translation with user privilege',
  ),
  0x82: reason('SGN.3', 'not-mapped', 'no execute permission', 'SM: No execute permission for request with PASID and ER=1'),
  0x83: reason('SGN.4', 'too-wide', 'a host address beyond the width of the unit', 'SM: Address beyond the DMA hardware max'),
  0x84: reason(
    'SGN.5',
    'too-wide',
    'the address is beyond the width of the second stage',
    'SM: Second-level entry address beyond the max',
  ),
  0x85: reason('SGN.6', 'not-mapped', 'no write permission at the address', 'SM: No write permission for Write/AtomicOp request'),
  0x86: reason('SGN.7', 'not-mapped', 'no read permission at the address', 'SM: No read permission for Read/AtomicOp request'),
  0x87: reason(
    'SGN.8',
    'interrupt-window',
    'the address after translation is in the interrupt range FEEx_xxxxh',
    'SM: Invalid address-interrupt address',
  ),
  0x89: reason('SGN.10', 'pasid', 'the PASID is larger than the unit supports'),
  0x90: reason(
    'SFS.9',
    'bad-tables',
    'Accessed and Dirty bits cannot be written: the unit does not snoop here',
    'SM: A/D bit update needed in first-level entry when set up in no snoop',
  ),
  0x91: reason('SFS.10', 'bad-tables', 'Accessed and Dirty bits of the first stage could not be written'),
  0xa0: reason('HPT.1', 'bad-tables', 'the host permission table cannot be read'),
  0xa1: reason('HPT.2', 'bad-tables', 'reserved bits are set in the host permission table'),
  0xa2: reason('HPT.3', 'bad-tables', 'the root of the host permission table cannot be read'),
  0xa3: reason('HPT.4', 'not-mapped', 'the host permission table has nothing for the address'),
  0xa4: reason('HPT.5', 'not-mapped', 'the host permission table allows no writing'),
  0xa5: reason('HPT.6', 'not-mapped', 'the host permission table allows no reading'),
};
