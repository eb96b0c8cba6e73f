/** What identifies a person or a machine, by kind; each kind has placeholders of its own form. */
type Kind = 'mac' | 'uuid' | 'ipv4' | 'ipv6' | 'serial' | 'name' | 'interface' | 'user';

const FORMS: Readonly<Record<Kind, (n: number) => string>> = {
  // Locally administered, as no card has it.
  mac: (n) => `02:00:00:${[n >> 16, n >> 8, n].map((byte) => (byte & 255).toString(16).padStart(2, '0')).join(':')}`,
  uuid: (n) => `00000000-0000-4000-8000-${n.toString(16).padStart(12, '0')}`,
  // RFC 5737 and RFC 3849: addresses for documents.
  ipv4: (n) => `192.0.2.${n & 255}`,
  ipv6: (n) => `2001:db8::${n.toString(16)}`,
  serial: (n) => `SERIAL${n}`,
  name: (n) => `name${n}`,
  interface: (n) => `net${n}`,
  user: (n) => `user${n}`,
};

/** What is a placeholder already stays: redacting twice is redacting once. Those of other kinds have forms that `#keep` sees. */
const PLACEHOLDER: Readonly<Partial<Record<Kind, RegExp>>> = {
  serial: /^SERIAL\d+$/,
  name: /^name\d+$/,
  user: /^user\d+$/,
  mac: /^02:00:00(:[0-9a-f]{2}){3}$/,
};

/** Names that drivers, the kernel and udev give, which say nothing about whose machine it is; `enx` with a MAC address is none. */
const PLAIN_INTERFACE =
  /^(lo|ovs-system|bonding_masters|(eth|bond|br|virbr|vmbr|docker|team|tap|tun|vnet|dummy|wg|macvtap|usb|ib|net|fwbr\d+i|tap\d+i)\d+|virbr\d+-nic|(en|wl|ww|ib|sl)(P\d+)?(p\d+s\d+|s\d+|o\d+|v\d+)(f\d+)?([nd]p?\w{0,3}?\d+)?(u\d+)*([civ]\d+)*)([.]\d+)?$/;
/** Words that lines of the kernel are full of: an interface with such a name stays as it is in them. */
const MOST_COMMON =
  /^(pci|iommu|dmar|vfio|kvm|nvme|kernel|memory|device|driver|group|bridge|default|reserved|dma|irq|msi|acpi|lan|wan|data|host)$/i;

/** Replaces what identifies by placeholders: the same value by the same one, wherever it stands. */
export class Words {
  /** Modules that are loaded: their parameters are the kernel's words. */
  readonly modules: Set<string> = new Set();
  readonly #known = new Map<string, string>();
  readonly #counts = new Map<Kind, number>();
  /** Names without a form of their own, which are looked for in any text. */
  readonly #anywhere = new Map<string, string>();
  #search: RegExp | undefined;

  /** The placeholder of a value. */
  of(kind: Kind, value: string): string {
    if (PLACEHOLDER[kind]?.test(value)) return value;
    const key = `${kind} ${value.toLowerCase()}`;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const n = (this.#counts.get(kind) ?? 0) + 1;
    this.#counts.set(kind, n);
    const made = FORMS[kind](n);
    this.#known.set(key, made);
    return made;
  }

  /** The placeholder of a name that is replaced in every text from now on. */
  everywhere(kind: Kind, value: string): string {
    const made = this.of(kind, value);
    if (value.length > 2 && !MOST_COMMON.test(value) && !/^\d+$/.test(value)) {
      this.#anywhere.set(value, made);
      this.#search = undefined;
    }
    return made;
  }

  interface(name: string): string {
    if (PLAIN_INTERFACE.test(name)) return name;
    return this.everywhere('interface', name);
  }

  mac(address: string): string {
    return /^[0:-]*$/.test(address) || /^(ff[:-])*ff$/i.test(address) ? address : this.of('mac', address.replaceAll('-', ':'));
  }

  /** Any text: what has the form of an identifier, and the names that are known. */
  text(text: string): string {
    const named = this.#names(text);
    return named
      .replace(/(?<![0-9a-f])[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}(?![0-9a-f])/gi, (found) => this.#keep('uuid', found))
      .replace(/(?<![0-9a-f:-])(?:[0-9a-f]{2}[:-]){5,19}[0-9a-f]{2}(?![0-9a-f:-])/gi, (found) => this.mac(found))
      .replace(/(?<![0-9a-z])(?:eui[.]|naa[.]|wwn-0x|nguid[.]|uuid[.])[0-9a-f-]{8,}/gi, (found) => this.of('serial', found))
      .replace(/(?<![\w.])(?:nqn|iqn)[.]\d{4}-\d\d[.][^\s"',;]+/gi, (found) => this.of('serial', found))
      .replace(
        /(\b(?:ww[pn]n|wwn|wwid|sas ?address|port name|node name)\b[\s:=(]*)((?:0x)?[0-9a-f]{16})(?![0-9a-f])/gi,
        (_, before: string, value: string) => before + this.#keep('serial', value),
      )
      .replace(
        /(guid[\s:=]*)((?:[0-9a-f]{4}:){3}[0-9a-f]{4}|(?:0x)?[0-9a-f]{16})(?![0-9a-f])/gi,
        (_, before: string, value: string) => before + this.#keep('serial', value),
      )
      .replace(/(?<![0-9a-z])[0-9a-f]{32}(?![0-9a-z])/gi, (found) => (/^(.)\1*$/.test(found) ? found : this.of('uuid', found)))
      .replace(/(?<![\w:.])(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4}(?![\w:])/gi, (found) => this.#keep('ipv6', found))
      .replace(
        /(?<![\w:.])(?:[0-9a-f]{1,4}:){1,6}(?::[0-9a-f]{1,4}){1,6}(?![\w:])|(?<![\w:.])(?:[0-9a-f]{1,4}:){1,7}:(?![\w:])|(?<![\w:.])::(?!1\b)(?:[0-9a-f]{1,4}:){0,6}[0-9a-f]{1,4}(?![\w:])/gi,
        (found) => this.#keep('ipv6', found),
      )
      .replace(/(?<![\d.])(?:\d{1,3}[.]){3}\d{1,3}(?![\d.])/g, (found) =>
        /^(0[.]){3}0$/.test(found) ? found : this.#keep('ipv4', found),
      )
      .replace(/(?<![\w.+-])[\w.+-]+@[a-z][\w-]*(?:[.][\w-]+)*/gi, 'user@host')
      .replace(/(\/home\/)([^/\s:"',]+)/g, (_, home: string, user: string) => home + this.#keep('user', user))
      .replace(
        /(\b(?:serial(?:[ _]?(?:number|no[.]?))?|s\/n|sn|(?:asset|service)(?:[ _]?tag)?)\s*[:=]\s*)([^\s,;]+)/gi,
        (_, before: string, value: string) => {
          return before + this.#keep('serial', value);
        },
      )
      .replace(
        /(\bserial(?: number)? )(?=[a-z-]*\d)([a-z\d][\w-]{5,})/gi,
        (_, before: string, value: string) => before + this.#keep('serial', value),
      );
  }

  /** A placeholder stays what it is, so that redacting twice is redacting once. */
  #keep(kind: Kind, value: string): string {
    const form = FORMS[kind](1).replace(/1(?=$)/, '');
    return value.startsWith(form) ? value : this.of(kind, value);
  }

  #names(text: string): string {
    if (this.#anywhere.size === 0) return text;
    if (this.#search === undefined) {
      const longestFirst = [...this.#anywhere.keys()].sort((a, b) => b.length - a.length || (a < b ? -1 : 1));
      const escaped = longestFirst.map((name) => name.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&'));
      this.#search = new RegExp(`(?<![A-Za-z0-9_])(?:${escaped.join('|')})(?![A-Za-z0-9_])`, 'g');
    }
    return text.replace(this.#search, (found) => this.#anywhere.get(found) ?? found);
  }
}
