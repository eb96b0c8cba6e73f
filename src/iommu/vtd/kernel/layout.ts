// How what the kernel shares with the model lies in memory, in words of 4 bytes. Both are compiled with this file.

// ---- a batch: columns, each as long as its capacity

export const BATCH_SID = 0;
export const BATCH_PASID = 1;
export const BATCH_LO = 2;
export const BATCH_HI = 3;
export const BATCH_ACCESS = 4;
export const BATCH_CONDITION = 5;
export const BATCH_OUT_LO = 6;
export const BATCH_OUT_HI = 7;
export const BATCH_INFO = 8;
export const BATCH_COLUMNS = 9;

// ---- an entry of the IOTLB; the first word is the page, with what `belowPage` has below it

export const KEY_HI = 1;
/** Low half of the output address, with `info` in its low 12 bits. */
export const OUT_LO = 2;
export const OUT_HI = 3;
/** What all entries of an address space share: four words, the last of them 0. */
export const KEY_PASID = 4;
export const DID_PGTT = 5;
export const EFFECTIVE_PASID = 6;
export const IOTLB_STRIDE_BITS = 3;
/** Multiplied with what an entry has at `KEY_PASID`. */
export const KEY_HASH = -1640531535;

// ---- an entry of a paging-structure cache; the first word has the address bits of its level, the number of its tables and the
// level, the second (`KEY_HI` as well) the upper half

/** The table that the entry leads to, with the rights up to there in its low 12 bits. */
export const TABLE_LO = 2;
export const TABLE_HI = 3;
/** Where that table is in `Memory.words`; -1 when it has no place of its own. */
export const TABLE_AT = 4;
export const STRUCTURE_STRIDE_BITS = 3;
/** Where the first word has the number, above the level. */
export const NUMBER_AT = 3;
/** Multiplied with what the first word has below the address. */
export const TABLES_HASH = 0x9e5;

// ---- an address space, as the kernel knows it

export const SPACES = 64;
/** Of its entries in the IOTLB: what they share, in the same order, then what is below the page. */
export const SPACE_KEY_PASID = 0;
export const SPACE_DID_PGTT = 1;
export const SPACE_EFFECTIVE_PASID = 2;
export const SPACE_BELOW_PAGE = 4;
/** A type of translation; 0 when the kernel may not walk it. */
export const SPACE_TYPE = 5;
/** `SNOOP` when every page is to be snooped. */
export const SPACE_SNOOP = 6;
/** Of the second stage: what the first word of an entry that leads to a table of level 1 has below the address, and its part of
 * the hash. */
export const SPACE_SS_KEY = 7;
export const SPACE_SS_HASH = 8;
/** As 64 bits: those of an entry that are reserved in its upper half. */
export const SPACE_SS_RESERVED = 10;
/** Of the first stage the same two; flags of every entry that is used. */
export const SPACE_FS_KEY = 12;
export const SPACE_FS_HASH = 13;
export const SPACE_FS_FLAGS = 14;
export const SPACE_STRIDE_BITS = 4;

// ---- what a kernel is set up with: places are in words

export const SETUP_MEMORY = 0;
export const SETUP_SPACES = 1;
export const SETUP_IOTLB = 2;
/** One less than its places, of which there is one when it has no entries. */
export const SETUP_IOTLB_MASK = 3;
export const SETUP_SS = 4;
export const SETUP_SS_MASK = 5;
export const SETUP_FS = 6;
export const SETUP_FS_MASK = 7;
/** Reserved bits of low halves, by level 0 to 3: pages and tables of the second stage, pages and tables of the first. */
export const SETUP_SS_PAGE = 8;
export const SETUP_SS_TABLE = 12;
export const SETUP_FS_PAGE = 16;
export const SETUP_FS_TABLE = 20;
/** Reserved bits of upper halves in the first stage. */
export const SETUP_ADDRESS_RESERVED = 24;
/** The life of the memory that tables have their places in, as far as the paging-structure caches know. */
export const SETUP_GENERATION = 25;
/** 1 when the IOTLB has entries. */
export const SETUP_HAS_IOTLB = 26;
/** The answer to a single request: address, as two halves, and `info`. */
export const SETUP_ANSWER = 28;
/** What the first stage leads to, of requests that are read ahead: low halves, then upper halves. */
export const SETUP_GUESTS = 32;
/** How many requests of a batch are read ahead. */
export const AHEAD = 32;
export const SETUP_WORDS = 96;
