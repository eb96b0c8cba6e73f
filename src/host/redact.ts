import type { Snapshot } from './snapshot.ts';

export function redacted(snapshot: Snapshot): Snapshot {
  return { ...snapshot, redacted: true };
}
