import { HostError, type Link, type Links, type VfSettings } from '../host.ts';
import { errnoOfText } from './errors.ts';
import { demand } from './programs.ts';

/** Network interfaces through the program `ip` of iproute2. */
export function liveLinks(): Links {
  const ip = (args: string[], subject: string) => demand(['ip', ...args], subject, errnoOfIp);
  return {
    list: async () => parseLinks(await ip(['-json', '-details', 'link', 'show'], 'ip')),
    setUp: async (name, up) => void (await ip(['link', 'set', 'dev', name, up ? 'up' : 'down'], name)),
    async setVf(name, vf, settings) {
      // One setting a call: the error then names the one that was refused, and the others are not lost with it.
      for (const words of vfWords(settings))
        await ip(['link', 'set', 'dev', name, 'vf', String(vf), ...words], `${name} vf ${vf}`);
    },
  };
}

function vfWords({ mac, vlan, spoofchk, trust }: VfSettings): string[][] {
  const onOff = (on: boolean): string => (on ? 'on' : 'off');
  const words: string[][] = [];
  if (mac !== undefined) words.push(['mac', mac]);
  if (vlan !== undefined) words.push(['vlan', String(vlan)]);
  if (spoofchk !== undefined) words.push(['spoofchk', onOff(spoofchk)]);
  if (trust !== undefined) words.push(['trust', onOff(trust)]);
  return words;
}

/** The kernel's answer stands behind `RTNETLINK answers:`; names that do not exist are found by `ip` itself. */
function errnoOfIp(said: string): string | undefined {
  if (/^Cannot find device|does not exist/m.test(said)) return 'ENODEV';
  const answer = /RTNETLINK answers: (.*)/.exec(said)?.[1];
  return answer === undefined ? undefined : errnoOfText(answer.trim());
}

/**
 * What `ip -json -details link show` prints. A VF's settings that the driver does not report are `false` and 0.
 * @throws HostError when it is not that
 */
export function parseLinks(text: string): Link[] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text.trim() || '[]');
  } catch {
    throw new HostError('ip', 'its answer to "-json link show" is no JSON: iproute2 4.18 or later is needed');
  }
  return array(parsed).map((item) => {
    const link = record(item);
    const vfs: Link['vfs'] = [];
    for (const entry of array(link.vfinfo_list)) {
      const vf = record(entry);
      vfs[Number(vf.vf)] = {
        // `address` since iproute2 5.5, `mac` before.
        mac: lower(vf.address ?? vf.mac),
        vlan: Number(record(array(vf.vlan_list)[0]).vlan ?? vf.vlan ?? 0),
        spoofchk: vf.spoofchk === true,
        trust: vf.trust === true,
      };
    }
    return { name: String(link.ifname), mac: lower(link.address), up: array(link.flags).includes('UP'), vfs };
  });
}

const array = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);
const record = (value: unknown): Record<string, unknown> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
const lower = (value: unknown): string => (typeof value === 'string' ? value.toLowerCase() : '');
