import { type Globals, parseLine, type Run, type Verb } from './command.ts';
import { makeContext, type World } from './context.ts';
import { EXIT, explain } from './exit.ts';
import { helpText } from './help.ts';
import { fitMessage } from './message.ts';
import { harmless, makeStyle, toJson, wantsColour } from './output.ts';
import { version } from './package.ts';
import { COMMANDS } from './table.ts';
import { VERBS } from './verbs.ts';

/**
 * Runs one command line and says what became of it. Never throws.
 * @returns the exit code
 */
export async function runCommandLine(argv: readonly string[], world: World): Promise<number> {
  let json = argv.includes('--json');
  try {
    const line = parseLine(argv, COMMANDS);
    json = line.globals.json;
    if (line.kind === 'run') return await runVerb(line.verb as Verb, line.args, line.globals, world);
    const page = { width: 80, style: makeStyle(wantsColour(world.env, world.stdout.isTTY === true)) };
    const text = line.kind === 'version' ? `sluice ${version()}` : helpText(line.topic, page);
    world.stdout.write(`${json ? toJson({ schema: 'sluice/text/1', text }) : text}\n`);
    return EXIT.ok;
  } catch (error) {
    const { exit, kind, text } = explain(error);
    if (json) world.stdout.write(`${toJson({ schema: 'sluice/error/1', kind, message: text, exit })}\n`);
    const { red } = makeStyle(wantsColour(world.env, world.stderr.isTTY === true));
    // A message quotes files, and names that come from elsewhere.
    const message = `${red('sluice:')} ${harmless(text)}`;
    // The lines of a bug are for whoever mends it.
    world.stderr.write(`${exit === EXIT.bug ? message : fitMessage(message, world.stderr)}\n`);
    return exit;
  }
}

async function runVerb<V extends Verb>(verb: V, args: Record<string, unknown>, globals: Globals, world: World): Promise<number> {
  const { run } = await (VERBS[verb] as () => Promise<{ run: (args: unknown, cx: Parameters<Run<V>>[1]) => Promise<number> }>)();
  return await run(args, makeContext(globals, world));
}
