import { type Host, HostError, type HostFiles } from './host.ts';
import { ABOUT, type Answer, contentOf, type Place, placeOf, type Refused, type Snapshot, toBase64 } from './snapshot.ts';

/** Longer than any file that a reader needs: what is longer is told to be too long, to us as to whoever reads the record. */
const MOST = 16 * 1024 * 1024;

/**
 * A host that answers as another does and keeps every answer. It allows no change: a record is taken of what is there.
 * @returns the host, and what was asked of it so far
 */
export function recording(host: Host, tool: string): { host: Host; snapshot: () => Snapshot } {
  const taken = new Date(host.clock.now()).toISOString();
  const folders = new Map<string, Map<string, Place>>();
  const record: Pick<Snapshot, 'log' | 'interfaces' | 'modules' | 'kvm' | 'nvme' | 'programs'> = { nvme: [], programs: [] };
  const place = (path: string): Place => {
    const { folder, name } = placeOf(path);
    const names = folders.get(folder) ?? new Map<string, Place>();
    folders.set(folder, names);
    const found = names.get(name) ?? {};
    names.set(name, found);
    return found;
  };

  const files: HostFiles = {
    read: (path) =>
      keep(place(path), 'content', notTooLong(path, host.files.read(path)), (bytes) => (bytes ? contentOf(bytes) : null)),
    readText: (path) =>
      keep(place(path), 'content', notTooLong(path, host.files.readText(path)), (text) => (text === undefined ? null : { text })),
    readAt: (path, offset, length) => {
      const found = place(path);
      const others = (found.parts ?? []).filter((one) => one.offset !== offset || one.length !== length);
      const part: NonNullable<Place['parts']>[number] = { offset, length, answer: NOTHING };
      found.parts = [...others, part];
      const reading = notTooLong(path, host.files.readAt(path, offset, length));
      return keep(part, 'answer', reading, (bytes) => (bytes ? contentOf(bytes) : null));
    },
    link: (path) =>
      keep(place(path), 'link', host.files.link(path), (target) => (target === undefined ? null : ownTarget(path, target))),
    list: (path) => keep(place(path), 'list', host.files.list(path), (names) => names ?? null),
    exists: (path) => keep(place(path), 'exists', host.files.exists(path), (is) => is),
    claimed: (path) => keep(place(path), 'claimed', host.files.claimed(path), (is) => is ?? null),
    kernelLog: () => keep(record, 'log', host.files.kernelLog(), (lines) => lines ?? null),
    ...refuseChanges,
  };
  return {
    host: {
      name: host.name,
      clock: host.clock,
      files,
      links: { list: () => keep(record, 'interfaces', host.links.list(), (links) => links), setUp: refuse, setVf: refuse },
      modules: { loaded: () => keep(record, 'modules', host.modules.loaded(), (names) => names), load: refuse, unload: refuse },
      nvme: {
        admin: (controller, command) => {
          const one: Snapshot['nvme'][number] = { controller, command, answer: NOTHING };
          record.nvme.push(one);
          return keep(one, 'answer', host.nvme.admin(controller, command), ({ status, result, data }) => ({
            status,
            result,
            base64: toBase64(data),
          }));
        },
      },
      vfio: { open: refuse },
      hypervisor: {
        run: (argv, options) => {
          const one: Snapshot['programs'][number] = { argv: [...argv], answer: NOTHING };
          record.programs.push(one);
          return keep(one, 'answer', host.hypervisor.run(argv, options), (ran) => ran);
        },
        start: ([program = '']) => refuse(program),
        signal: (pid) => refuse(`process ${pid}`),
        connect: refuse,
        kvm: () => keep(record, 'kvm', host.hypervisor.kvm(), (told) => told),
      },
    },
    snapshot: () => ({
      schema: 'sluice/snapshot/1',
      about: ABOUT,
      tool,
      taken,
      redacted: false,
      places: sorted(folders, (names) => sorted(names, (found) => found)),
      ...record,
      // Asked side by side, they answer in any order.
      nvme: record.nvme.toSorted(byJson),
      programs: record.programs.toSorted(byJson),
    }),
  };
}

/** What is in a record until its answer is there. */
const NOTHING: Refused = { refused: 'had not answered when the record was written', subject: 'the host' };

/** Gives the answer on, and keeps it, or the error, in the form of a record. */
async function keep<K extends string, T, R>(
  into: { [key in K]?: Answer<R> | undefined },
  key: K,
  reading: Promise<T>,
  form: (answer: T) => R,
): Promise<T> {
  try {
    const answer = await reading;
    into[key] = form(answer);
    return answer;
  } catch (error) {
    if (error instanceof HostError) into[key] = refusedOf(error);
    throw error;
  }
}

function refusedOf({ subject, errno, message }: HostError): Refused {
  const end = errno === undefined ? '' : ` (${errno})`;
  const refused = message.slice(subject.length + 2, message.length - end.length);
  return { refused, subject, ...(errno === undefined ? {} : { errno }) };
}

async function notTooLong<T extends Uint8Array | string | undefined>(path: string, reading: Promise<T>): Promise<T> {
  const content = await reading;
  if (content !== undefined && content.length > MOST)
    throw new HostError(path, `has ${content.length} bytes, more than the ${MOST} that a record takes`, 'EFBIG');
  return content;
}

/** What other programs have open is nobody's business, but for devices. */
function ownTarget(path: string, target: string): string {
  return /^\/proc\/\d+\/fd\/\d+$/.test(path) && !target.startsWith('/dev/') ? '(no device)' : target;
}

async function refuse(what: string): Promise<never> {
  throw new HostError(what, 'nothing is changed while a record is taken', 'EROFS');
}
const refuseChanges = { write: refuse, replace: refuse, append: refuse, makeFolder: refuse, remove: refuse, lock: refuse };

const byJson = (a: unknown, b: unknown): number => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1);

function sorted<T, R>(map: ReadonlyMap<string, T>, form: (value: T) => R): Record<string, R> {
  return Object.fromEntries([...map].sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, value]) => [key, form(value)]));
}
