import { ScopeEntry } from './dmar-formats.ts';
import type { Findings } from './findings.ts';
import { concat } from './table.ts';

export type ScopeType = keyof typeof ScopeEntry.values.Type;

export interface DeviceScope {
  /** Bytes from the start of the table. */
  offset: number;
  length: number;
  /** `bridge` stands for all that is behind it. Undefined when the number means nothing yet. */
  type: ScopeType | undefined;
  typeNumber: number;
  /** I/O APIC ID, HPET number or ACPI device number; nothing for PCI. */
  enumerationId: number;
  /** Bus of the first pair of the path. */
  startBus: number;
  /** From the host bridge to the device: one pair for a device on the start bus, more when it is behind bridges. */
  path: { device: number; function: number }[];
  /** The byte whose bits SIDP defines. */
  flags: number;
  /** The byte after the flags, when it is not zero as it should be. */
  reserved?: number;
}

/** A scope as its maker describes it: `type`, or `typeNumber` for one without a name; what is left out is 0. */
export interface ScopeDescription {
  type?: ScopeType | undefined;
  typeNumber?: number;
  enumerationId?: number;
  startBus?: number;
  path: readonly { device: number; function: number }[];
  flags?: number;
  reserved?: number;
}

/**
 * Device scopes until `end`; one that does not fit ends them. VT-d 5.10 §8.3.1.
 * @param cut whether the structure itself runs over the end of the table, which has been told
 */
export function readScopes(view: DataView, start: number, end: number, cut: boolean, findings: Findings): DeviceScope[] {
  const scopes: DeviceScope[] = [];
  for (let offset = start; offset < end; ) {
    const length = offset + ScopeEntry.bytes <= end ? ScopeEntry.get.Length(view, offset) : 0;
    if (length < ScopeEntry.bytes || offset + length > end) {
      if (!cut)
        findings.broken(offset, `a device scope of ${length} bytes does not fit the ${end - offset} that its structure has left`);
      break;
    }
    scopes.push(readScope(view, offset, length, findings));
    offset += length;
  }
  return scopes;
}

function readScope(view: DataView, offset: number, length: number, findings: Findings): DeviceScope {
  const scope = ScopeEntry.decode(view, offset);
  const path: DeviceScope['path'] = [];
  for (let at = offset + ScopeEntry.bytes; at + 2 <= offset + length; at += 2)
    path.push({ device: view.getUint8(at), function: view.getUint8(at + 1) });
  const type = ScopeEntry.nameOf('Type', scope.Type) as ScopeType | undefined;
  if (!type) findings.odd(offset, `device scope type ${scope.Type} is not defined`);
  if (path.length === 0) findings.broken(offset, 'a device scope without a path names no device');
  if (length % 2) findings.broken(offset + 1, `a device scope of ${length} bytes ends in half a pair`);
  const wrong = path.findIndex((pair) => pair.device > 31 || pair.function > 7);
  if (wrong >= 0) {
    const { device, function: fn } = path[wrong]!;
    findings.broken(
      offset + ScopeEntry.bytes + 2 * wrong,
      `a device scope names device ${device} function ${fn}, which cannot be`,
    );
  }
  const reserved = view.getUint8(offset + 3);
  if (reserved !== 0) findings.odd(offset + 3, `a device scope has reserved bits set: byte 3 is ${reserved}`);
  return {
    offset,
    length,
    type,
    typeNumber: scope.Type,
    enumerationId: scope.EnumerationID,
    startBus: scope.StartBusNumber,
    path,
    flags: view.getUint8(offset + 2),
    ...(reserved === 0 ? {} : { reserved }),
  };
}

/** @throws RangeError when a value does not fit its field */
export function buildScopes(scopes: readonly ScopeDescription[]): Uint8Array<ArrayBuffer> {
  return concat(
    scopes.map(({ type, typeNumber, enumerationId = 0, startBus = 0, path, flags = 0, reserved = 0 }) => {
      const bytes = concat([
        ScopeEntry.encode({
          Type: typeNumber ?? (type === undefined ? 0 : ScopeEntry.values.Type[type]),
          Length: ScopeEntry.bytes + 2 * path.length,
          EnumerationID: enumerationId,
          StartBusNumber: startBus,
        }),
        Uint8Array.from(path.flatMap((pair) => [pair.device, pair.function])),
      ]);
      bytes[2] = flags;
      bytes[3] = reserved;
      return bytes;
    }),
  );
}
