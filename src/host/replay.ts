import { type Host, HostError, type NvmeCommand } from './host.ts';
import { type Answer, bytesOf, type Content, isRefused, type Place, placeOf, type Snapshot } from './snapshot.ts';
import { fromUtf8 } from './utf8.ts';

const NOT_RECORDED = 'was not recorded in this snapshot';

/**
 * A recorded host. It answers as the host did, and knows a little more: what is not among the names of a folder is not there.
 * A question that was not asked of the host has no answer, which is an error with `ENODATA`; every change is one with `EROFS`.
 *
 * @param name for messages: `snapshot:FILE`
 * @param because why a question has no answer
 * @param own a folder of whoever looks, which a record has nothing of: it is empty
 */
export function replaying(snapshot: Snapshot, name: string, own?: string, because: string = NOT_RECORDED): Host {
  const notRecorded = (what: string): HostError => new HostError(what, because, 'ENODATA');
  const recorded = <T>(what: string, answer: Answer<T> | undefined): T => {
    if (answer === undefined) throw notRecorded(what);
    return given(answer);
  };
  const folders = new Map(Object.entries(snapshot.places).map(([folder, names]) => [folder, new Map(Object.entries(names))]));
  const find = (path: string): Place | undefined => {
    const { folder, name: last } = placeOf(path);
    return folders.get(folder)?.get(last);
  };
  /** Whether something that was recorded says that nothing is at this path. */
  const isAbsent = (path: string): boolean => {
    if (own !== undefined && (path === own || path.startsWith(`${own}/`))) return true;
    for (let at = path; at !== '/'; at = placeOf(at).folder) {
      const { folder, name: last } = placeOf(at);
      const found = at === path ? undefined : find(at);
      if (found?.exists === false || found?.list === null) return true;
      const above = find(folder)?.list;
      if (above === null || (Array.isArray(above) && !above.includes(last))) return true;
    }
    return false;
  };
  /** The recorded answer; else what follows from others, else the error that there is none. */
  const answered = <T>(path: string, answer: Answer<T> | undefined, absent: T): T => {
    if (answer !== undefined) return given(answer);
    if (isAbsent(path)) return absent;
    throw notRecorded(path);
  };
  const part = (path: string, offset: number, length: number): Uint8Array | undefined => {
    const { parts = [], content } = find(path) ?? {};
    for (const one of parts) {
      const bytes = bytesIn(path, given(one.answer));
      if (bytes === undefined) return undefined;
      const [skip, last] = [offset - one.offset, offset + length <= one.offset + one.length];
      // A part that ended early ended where the file does.
      if (skip >= 0 && (last || bytes.length < one.length)) return bytes.slice(skip, skip + length);
    }
    return bytesIn(path, answered(path, content, null))?.slice(offset, offset + length);
  };
  const read = (path: string): Uint8Array | undefined => {
    const { content, parts = [] } = find(path) ?? {};
    const whole = content === undefined && parts.find(({ offset }) => offset === 0);
    if (whole) {
      const bytes = bytesIn(path, given(whole.answer));
      if (bytes === undefined || bytes.length < whole.length) return bytes;
    }
    return bytesIn(path, answered(path, content, null));
  };

  return {
    name,
    clock: { now: () => Date.parse(snapshot.taken), sleep: async () => {} },
    files: {
      read: async (path) => read(path),
      readText: async (path) => {
        const content = find(path)?.content;
        if (content && 'text' in content) return content.text;
        const bytes = read(path);
        return bytes && lenientText(bytes);
      },
      readAt: async (path, offset, length) => part(path, offset, length),
      link: async (path) => answered(path, find(path)?.link, null) ?? undefined,
      list: async (path) => {
        const names = answered(path, find(path)?.list, null);
        return names === null ? undefined : [...names];
      },
      exists: async (path) => answered(path, find(path)?.exists ?? isThere(find(path)), false),
      claimed: async (path) => answered(path, find(path)?.claimed, null) ?? undefined,
      write: readOnly,
      replace: readOnly,
      append: readOnly,
      makeFolder: readOnly,
      remove: readOnly,
      lock: readOnly,
      kernelLog: async () => recorded('the kernel log', snapshot.log) ?? undefined,
    },
    links: { list: async () => recorded('network interfaces', snapshot.interfaces), setUp: readOnly, setVf: readOnly },
    modules: { loaded: async () => recorded('kernel modules', snapshot.modules), load: readOnly, unload: readOnly },
    nvme: {
      admin: async (controller, command) => {
        const asked = keyOf(command);
        const found = snapshot.nvme.find((one) => one.controller === controller && keyOf(one.command) === asked);
        if (found === undefined) throw notRecorded(`${controller}, admin command ${asked}`);
        const { status, result, base64 } = given(found.answer);
        return { status, result, data: bytesIn(controller, { base64 }) ?? new Uint8Array() };
      },
    },
    vfio: { open: readOnly },
    hypervisor: {
      run: async (argv) => {
        const found = snapshot.programs.find((one) => one.argv.join('\0') === argv.join('\0'));
        if (found === undefined) throw notRecorded(`the output of ${argv.join(' ')}`);
        return given(found.answer);
      },
      start: async ([program = '']) => await readOnly(program),
      signal: async (pid) => await readOnly(`process ${pid}`),
      connect: async (path) => {
        throw notRecorded(path);
      },
      kvm: async () => recorded('whether KVM runs a guest', snapshot.kvm),
    },
  };
}

function given<T>(answer: Answer<T>): T {
  if (isRefused(answer)) throw new HostError(answer.subject, answer.refused, answer.errno);
  return answer;
}

function bytesIn(path: string, content: Content | null): Uint8Array | undefined {
  if (content === null) return undefined;
  try {
    return bytesOf(content);
  } catch (error) {
    if (error instanceof RangeError) throw new HostError(path, `is damaged in this snapshot: ${error.message}`);
    throw error;
  }
}

/** Bytes that are no UTF-8 are shown one for one: no reader of text expects them. */
function lenientText(bytes: Uint8Array): string {
  return fromUtf8(bytes) ?? Array.from(bytes, (byte) => String.fromCharCode(byte)).join('');
}

/** Whether other answers tell that something is there; undefined when they do not. */
function isThere(place: Place | undefined): boolean | undefined {
  if (place === undefined) return undefined;
  const { content, link, list, parts } = place;
  if (
    [content, link, list, ...(parts ?? []).map(({ answer }) => answer)].some(
      (one) => one !== undefined && one !== null && !isRefused(one),
    )
  )
    return true;
  return content === null || list === null ? false : undefined;
}

/** The same whatever the order of the members, and with 0 for what is left out. */
function keyOf({ opcode, nsid = 0, cdw10 = 0, cdw11 = 0, cdw12 = 0, cdw13 = 0, cdw14 = 0, cdw15 = 0 }: NvmeCommand): string {
  return [opcode, nsid, cdw10, cdw11, cdw12, cdw13, cdw14, cdw15].map((word) => `0x${word.toString(16)}`).join(' ');
}

async function readOnly(what: string): Promise<never> {
  throw new HostError(what, 'this host is a record and cannot be changed', 'EROFS');
}
