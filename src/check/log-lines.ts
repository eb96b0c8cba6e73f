/** One message of a log, without what loggers and mail programs put before it. */
export interface LogLine {
  /** Number of its first line in the file, from 1. */
  number: number;
  text: string;
}

/** Longest piece of a line that is kept; libvirt writes whole command lines, and what follows a message is not needed. */
const LONGEST = 4096;
/** Width beyond which mail programs wrap. */
const WRAPPED = 66;
/** Lines that one message may have been wrapped into. */
const PARTS = 4;

const MONTH = '(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)';
/** Host and program of a syslog line. */
const WHO = '[\\w.-]{1,64} [A-Za-z][\\w./()@-]{0,63}(?:\\[\\d{1,10}\\])?:(?: |$)';
/** What may stand before a message, each at its start; each tells that a message begins here. */
const STAMPS: readonly RegExp[] = [
  // dmesg --raw, dmesg --decode, and the time of the kernel, with the thread or processor that printed (CONFIG_PRINTK_CALLER).
  /^<\d{1,3}>(?:\d+ )?/,
  /^(?:kern|user|daemon|syslog|auth)\s*:\s*\w{1,8}\s*:\s*/,
  /^\[ {0,7}\d{1,9}\.\d{3,9}\](?:\[ {0,6}[TC]\d{1,9}\])?:? ?/,
  /^\[(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}\] ?/,
  // syslog, journalctl, and ISO times of QEMU, libvirt, systemd and Kubernetes.
  new RegExp(`^${MONTH} {1,2}\\d{1,2} (?:\\d{4} )?\\d\\d:\\d\\d:\\d\\d(?:\\.\\d{1,6})? ${WHO}`),
  /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?:? (?:[\w.-]{1,64} (?:kernel|[A-Za-z][\w./()@-]{0,63}\[\d{1,10}\]): ?)?/,
  // libvirt: thread and level behind the time.
  /^\d{1,10}: (?:error|warning|info|debug) : /,
];
/** Marks of a quoted mail. */
const QUOTE = /^\s{0,8}(?:[>|][ \t]?){1,16}/;
/** A message that names its driver, its device or its program begins here. */
const BEGINS =
  /^(?:[\w./-]{1,60}(?::\d{1,7}){1,2}:?|[\w./-]{1,40}(?: [0-9a-f]{4,5}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7])?(?:\[\d{1,10}\])?:|[0-9a-f]{4,5}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]:) /;

interface Piece {
  number: number;
  text: string;
  quote: string;
  stamped: boolean;
  /** Columns of the last line as it stood in the file. */
  width: number;
  parts: number;
}

/**
 * Takes a log apart while it is read: piece by piece, in memory that does not grow. Lines that a mail program wrapped are put
 * together where there is no doubt. Never throws.
 */
export class LogReader {
  #rest = '';
  #tooLong = false;
  #count = 0;
  #last: Piece | undefined;

  /** Lines so far. */
  get count(): number {
    return this.#count;
  }

  /** The messages that a further piece of the file completes. */
  *push(text: string): Generator<LogLine> {
    let from = 0;
    for (let to = text.indexOf('\n'); to >= 0; from = to + 1, to = text.indexOf('\n', from)) {
      this.#keep(text.slice(from, Math.min(to, from + LONGEST)));
      yield* this.#line();
    }
    if (from < text.length) this.#keep(text.slice(from, from + LONGEST));
  }

  /** What is left at the end of the file. */
  *end(): Generator<LogLine> {
    if (this.#rest !== '') yield* this.#line();
    if (this.#last !== undefined) yield { number: this.#last.number, text: this.#last.text };
    this.#last = undefined;
  }

  #keep(text: string): void {
    if (this.#tooLong) return;
    this.#rest += text;
    if (this.#rest.length < LONGEST) return;
    this.#rest = this.#rest.slice(0, LONGEST);
    this.#tooLong = true;
  }

  *#line(): Generator<LogLine> {
    const line = apart(this.#rest).trimEnd();
    this.#rest = '';
    this.#tooLong = false;
    const next = takeApart(line, ++this.#count);
    const last = this.#last;
    if (last !== undefined && belongsTo(last, next)) {
      last.text = `${last.text} ${next.text}`;
      last.width = next.width;
      last.parts++;
      return;
    }
    this.#last = next;
    if (last !== undefined && last.text !== '') yield { number: last.number, text: last.text };
  }
}

/**
 * The same text in a place of its own. A slice of a string keeps all of it, so one line that is kept would keep the piece of the
 * file that it was read in.
 */
function apart(line: string): string {
  const copy = ` ${line}`;
  // What was put together is written down in one place when a character of it is looked at.
  return copy.charCodeAt(0) === 0x20 ? copy.slice(1) : line;
}

/** The messages of a text that is whole. */
export function* logLines(text: string): Generator<LogLine> {
  const reader = new LogReader();
  yield* reader.push(text);
  yield* reader.end();
}

function takeApart(line: string, number: number): Piece {
  const quote = QUOTE.exec(line)?.[0] ?? '';
  let text = line.slice(quote.length).trimStart();
  let stamped = false;
  for (const stamp of STAMPS) {
    const match = stamp.exec(text);
    if (match === null) continue;
    text = text.slice(match[0].length).trimStart();
    stamped = true;
  }
  // syslogd keeps the kernel's own time behind its own.
  const own = stamped ? STAMPS[2]!.exec(text) : null;
  if (own !== null) text = text.slice(own[0].length).trimStart();
  return { number, text, quote: quote.replace(/\s/g, ''), stamped, width: line.length, parts: 1 };
}

/** Whether a line goes on with the one above. */
function belongsTo(last: Piece, next: Piece): boolean {
  if (next.stamped || next.text === '' || last.text === '' || next.quote !== last.quote || last.parts === PARTS) return false;
  // A bracket that is open is closed further down.
  if (last.text.length > 30 && last.text.length < 300 && last.text.lastIndexOf('[') > last.text.lastIndexOf(']'))
    return !BEGINS.test(next.text);
  // The first word of the next line did not fit any more.
  const word = next.text.length - next.text.trimStart().length + (/^\S+/.exec(next.text)?.[0].length ?? 0);
  const full = last.width <= 100 && last.width + 1 + word > WRAPPED;
  return full && (last.stamped || last.parts > 1) && !BEGINS.test(next.text);
}
