import { type Host, HostError } from '../../host/host.ts';
import { connectAgent, consoleTail, findGuest, startGuest, stopGuest } from '../../qemu/index.ts';
import { type GuestToStart, StepError, type StepKind, type StepOf } from '../step.ts';

type StartGuest = StepOf<'start-guest'>;

/** Lines of the guest's console that are shown when it does not come up. */
const LAST_WORDS = 15;
/** Milliseconds that a guest gets to shut down by itself. */
const GRACE = 20_000;
const MOMENT = 5000;

export interface BeforeGuest {
  /** Microseconds since boot of the newest line in the kernel log: what comes later may be the guest's doing. */
  logUntil?: number;
}

export const startGuestStep: StepKind<StartGuest, BeforeGuest> = {
  title: ({ guest }) => `start guest ${guest.name}`,
  changes: ({ guest }) => [
    { where: 'RLIMIT_MEMLOCK of QEMU', from: 'as inherited', to: `${guest.memlock} bytes` },
    { where: `guest ${guest.name}`, from: 'not running', to: guest.argv.join(' ') },
  ],
  async observe(host) {
    const last = (await host.files.kernelLog())?.at(-1)?.at;
    return last === undefined ? {} : { logUntil: last };
  },
  async run(host, { guest }, cx) {
    if (guest.vars !== undefined) {
      const template = await host.files.read(guest.vars);
      if (template === undefined) throw new StepError(`${guest.vars} is not there: the firmware needs its variables`);
      await host.files.replace(`${guest.folder}/OVMF_VARS.fd`, template);
    }
    const { pid } = await startGuest(host, { argv: guest.argv, uuid: guest.uuid, folder: guest.folder, memlock: guest.memlock });
    cx.tell(`QEMU runs as process ${pid}`);
    await cx.reached('QEMU started');
    if (guest.agent) await waitForAgent(host, guest, cx.stop);
  },
  async restore(host, { guest }, _old, cx, ended) {
    // One that came up is asked, and gets the time to put its file systems in order. One that did not hardly hears its power
    // button; with a disk it is asked all the same, for a moment.
    const asked = guest.disk || guest.agent;
    const graceful = ended ? (asked ? Math.max(GRACE, guest.timeout * 1000) : 0) : guest.disk ? MOMENT : 0;
    const stopped = await stopGuest(host, { uuid: guest.uuid, folder: guest.folder, graceful });
    for (const socket of [guest.files.qmp, guest.files.agent, guest.files.pidfile]) await host.files.remove(socket);
    await cx.reached('guest stopped');
    return stopped.by === 'absent' ? undefined : `stopped ${guest.name} (${stopped.by})`;
  },
};

/** Waits until the guest's agent answers. @throws StepError with the last words of the console when it does not in time, or its QEMU ends */
async function waitForAgent(host: Host, guest: GuestToStart, stop: (() => void) | undefined): Promise<void> {
  const deadline = host.clock.now() + guest.timeout * 1000;
  for (;;) {
    stop?.();
    try {
      const agent = await connectAgent(host, guest.files.agent, Math.min(2000, Math.max(1, deadline - host.clock.now())));
      agent.close();
      return;
    } catch (error) {
      if (!(error instanceof HostError)) throw error;
      if ((await findGuest(host, guest.uuid)) === undefined)
        throw new StepError('its QEMU ended while the guest came up', [
          ...(await lines(host, guest.files.output, 'the last lines of QEMU:')),
          ...(await lastWords(host, guest)),
        ]);
      if (host.clock.now() >= deadline)
        throw new StepError(`the guest did not come up: its agent did not answer within ${guest.timeout} s`, [
          'does the guest run qemu-guest-agent? if it has none, write agent: false',
          ...(await lastWords(host, guest)),
        ]);
      await host.clock.sleep(250);
    }
  }
}

async function lastWords(host: Host, guest: GuestToStart): Promise<string[]> {
  const words = await lines(host, guest.files.console, 'the end of its console:');
  return words.length === 0 ? ['its console is empty'] : words;
}

async function lines(host: Host, file: string, title: string): Promise<string[]> {
  const found = await consoleTail(host, file, LAST_WORDS);
  return found.length === 0 ? [] : [title, ...found.map((line) => `  ${line}`)];
}
