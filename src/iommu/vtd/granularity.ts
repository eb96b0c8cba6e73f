// How much an invalidation drops, as commands and descriptors encode it. VT-d 5.10 §6.5.2.

/** IOTLB_REG.IIRG and IOTLB invalidate descriptors; CCMD_REG.CIRG has the same of the context cache. */
export const GLOBAL = 1;
export const DOMAIN = 2;
/** A range of pages of a domain; one device of the context cache. */
export const PAGE = 3;
export const DEVICE = 3;
/** PASID-based IOTLB invalidate descriptors; pages of a PASID are 3 as well. */
export const PASID = 2;
/** PASID-cache invalidate descriptors. */
export const PASID_CACHE_DOMAIN = 0;
export const PASID_CACHE_PASID = 1;
export const PASID_CACHE_GLOBAL = 3;
