import * as layout from './kernel/layout.ts';
import * as request from './request.ts';

// By what the IOTLB knows a requester, with its PASID.

const { PRIV } = request;
const { KEY_HASH } = layout;

/** What a key has below the page: bits 7:0 of the requester, how privileged the request is, and that there is an entry. */
export function belowPage(sid: number, access: number): number {
  return ((sid & 0xff) << 4) | ((access & PRIV) >>> 1) | 1;
}

/** All of the requester and its PASID, or -1: both can be told, as bits 7:0 of the requester are known from elsewhere. */
export function keyPasid(sid: number, pasid: number): number {
  return pasid ^ (sid << 12);
}

/** Each requester has its pages elsewhere: drivers hand out the same addresses. @param key as of `keyPasid` */
export function spaceHash(key: number): number {
  return Math.imul(key, KEY_HASH) >>> 16;
}
