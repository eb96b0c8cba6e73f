import * as z from 'zod/mini';
import { type Beyond, judgeBeyond } from '../check/appliances/beyond.ts';
import type { Answer, Facts } from '../check/appliances/facts.ts';
import { readFacts } from '../check/appliances/read-facts.ts';
import { judgeRequirements, type RequirementFinding } from '../check/appliances/requirement.ts';
import { XRD_GROUPS } from '../check/appliances/xrd.ts';
import { inKernel } from '../check/appliances/xrd-host.ts';
import { withoutIommu } from '../check/appliances/xrd-vrouter.ts';
import type { Finding } from '../check/check.ts';
import { findFunction } from '../host/devices.ts';
import type { PciFunction } from '../host/functions.ts';
import { type Host, HostError } from '../host/host.ts';
import { type Picture, readPicture } from '../host/picture.ts';
import type { Context } from './context.ts';
import { EXIT } from './exit.ts';
import { harmless, indent, type Page, wrap } from './output.ts';

/** Appliances whose demands are known, and the groups of them: those that decide, and those around. */
const APPLIANCES: Readonly<
  Record<string, { what: string; groups: readonly string[]; amazon: string; around: readonly string[] }>
> = {
  'xrd-vrouter': {
    what: 'Cisco XRd vRouter',
    groups: ['base', 'xrd-vrouter'],
    amazon: 'xrd-vrouter-aws',
    around: ['docker', 'xr-compose'],
  },
};
const TITLES: Readonly<Record<string, string>> = {
  base: 'Every XRd container asks',
  'xrd-vrouter': 'XRd vRouter asks on top',
  'xrd-vrouter-aws': 'The vendor’s image for Amazon asks',
  docker: 'When Docker runs it',
  'xr-compose': 'For topologies made with xr-compose',
};
const NETWORK = 2;

/** What `check --for` prints. */
export interface ApplianceReport {
  schema: 'sluice/check-for/1';
  host: string;
  appliance: string;
  /** `lab`: it will run, and not be supported in production. */
  verdict: { is: 'yes' | 'lab' | 'no' | 'unknown'; because: string };
  groups: { name: string; title: string; decides: boolean; requirements: RequirementFinding[] }[];
  beyond: Beyond;
}

const evidence = z.strictObject({ where: z.string(), text: z.string() });
const because = { because: z.string(), seen: z.array(evidence), fix: z.optional(z.array(z.string())) };
const finding = z.strictObject({
  id: z.string(),
  asks: z.string(),
  bdf: z.string(),
  is: z.enum(['pass', 'fail', 'unknown', 'not-applicable']),
  ...because,
  lines: z.optional(z.array(z.strictObject({ text: z.string(), source: z.string() }))),
});
export const applianceReport: z.ZodMiniType<ApplianceReport> = z.strictObject({
  schema: z.literal('sluice/check-for/1'),
  host: z.string(),
  appliance: z.string(),
  verdict: z.strictObject({ is: z.enum(['yes', 'lab', 'no', 'unknown']), because: z.string() }),
  groups: z.array(
    z.strictObject({
      name: z.string(),
      title: z.string(),
      decides: z.boolean(),
      requirements: z.array(
        z.strictObject({
          name: z.string(),
          asks: z.string(),
          is: z.enum(['pass', 'note', 'warn', 'fail', 'unknown', 'skipped']),
          ...because,
        }),
      ),
    }),
  ),
  beyond: z.strictObject({
    host: z.array(finding),
    functions: z.array(z.strictObject({ bdf: z.string(), name: z.string(), findings: z.array(finding) })),
  }),
}) as z.ZodMiniType<ApplianceReport>;

/**
 * All that an appliance asks of a host, and what its vendor's checker misses.
 *
 * @param target a function, network interface or address, that it shall have; every network function when absent
 * @throws HostError when there is no such function, or the host cannot be read
 */
export async function checkFor(host: Host, appliance: string, target?: string): Promise<ApplianceReport> {
  const picture = await readPicture(host);
  const facts = await readFacts(host, picture);
  const { groups: names, amazon, around } = APPLIANCES[appliance]!;
  const onAmazon = 'value' in facts.amazonLinux && facts.amazonLinux.value;
  const deciding = onAmazon ? [...names, amazon] : names;
  const groups = [...deciding, ...around].map((name) => ({
    name,
    title: TITLES[name]!,
    decides: deciding.includes(name),
    requirements: judgeRequirements(XRD_GROUPS[name]!, facts),
  }));
  const chosen = target === undefined ? undefined : findFunction(picture, target);
  if (target !== undefined && chosen === undefined) throw new HostError(target, 'no PCI function has this address or name');
  const functions = chosen === undefined ? networkFunctions(picture) : [chosen];
  const beyond = await judgeBeyond(host, picture, functions);
  return {
    schema: 'sluice/check-for/1',
    host: picture.host,
    appliance,
    verdict: verdictOf(groups, beyond, runsUnprotected(facts)),
    groups,
    beyond,
  };
}

/** Reads all that `check --for` does, so that a record of the host can answer it. */
export async function readForAppliances(host: Host, picture: Picture): Promise<void> {
  await readFacts(host, picture);
  await judgeBeyond(host, picture, networkFunctions(picture));
}

function networkFunctions(picture: Picture): PciFunction[] {
  return picture.functions.filter((found) => found.class >> 16 === NETWORK);
}

/** Whether DPDK has a way to a function that needs no IOMMU, and that protects from nothing. */
function runsUnprotected(facts: Facts): boolean {
  return inKernel(facts.modules.igb_uio!) === true || (inKernel(facts.modules['vfio-pci']!) === true && withoutIommu(facts));
}

/** What the whole comes to. Of several functions one that can be used is enough. */
function verdictOf(groups: ApplianceReport['groups'], beyond: Beyond, unprotected: boolean): ApplianceReport['verdict'] {
  const required = groups.filter(({ decides }) => decides).flatMap(({ requirements }) => requirements);
  const named = (...states: Answer['is'][]) => required.filter(({ is }) => states.includes(is)).map(({ name }) => name);
  const found = (state: Finding['is']) => beyond.host.filter(({ is }) => is === state).map(({ because }) => because);
  const usable = beyond.functions.filter(({ findings }) => findings.every(({ is }) => is === 'pass' || is === 'not-applicable'));
  const blocked = beyond.functions.filter(({ findings }) => findings.some(({ is }) => is === 'fail'));
  const isolation = found('fail');
  if (isolation.length === 0 && blocked.length === beyond.functions.length) isolation.push('no network function can be used');
  const failed = [...named('fail', 'skipped'), ...(unprotected ? [] : isolation)];
  if (failed.length > 0) return { is: 'no', because: failed.join('; ') };
  const unknown = [...named('unknown'), ...(unprotected ? [] : found('unknown'))];
  if (!unprotected && usable.length === 0) unknown.push('whether a function can be used');
  if (unknown.length > 0) return { is: 'unknown', because: unknown.join('; ') };
  const warned = [...named('warn'), ...(unprotected && isolation.length > 0 ? ['its functions can reach all memory'] : [])];
  if (warned.length > 0) return { is: 'lab', because: warned.join('; ') };
  return { is: 'yes', because: `all is met, and ${usable.map(({ bdf }) => bdf).join(', ')} can be used` };
}

/** `check --for APPLIANCE [TARGET]`: prints the report and gives the exit code that it stands for. */
export async function runFor(cx: Context, appliance: string, target?: string): Promise<number> {
  const report = await checkFor(await cx.host(), appliance, target);
  cx.print(report, renderAppliance);
  return report.verdict.is === 'yes' || report.verdict.is === 'lab' ? EXIT.ok : EXIT.findings;
}

const WORDS: Readonly<Record<ApplianceReport['verdict']['is'], string>> = {
  yes: 'This host can run',
  lab: 'In a lab this host can run',
  no: 'This host cannot run',
  unknown: 'It is not known whether this host can run',
};

/** Draws the report. */
export function renderAppliance(report: ApplianceReport, page: Page): string {
  const { style } = page;
  const headline = `${WORDS[report.verdict.is]} ${APPLIANCES[report.appliance]?.what ?? report.appliance}: ${report.verdict.because}`;
  const parts = [wrap(harmless(headline), page.width).join('\n')];
  for (const { title, decides, requirements } of report.groups)
    parts.push(
      [
        `${style.bold(title)}${decides ? '' : ' (decides nothing here)'}`,
        ...requirements.map((one) => renderAnswer(one.is, one.name, one, page)),
      ].join('\n'),
    );
  parts.push(
    [
      style.bold('The vendor’s checker does not ask'),
      ...report.beyond.host.map((one) => renderAnswer(one.is, one.asks, one, page)),
    ].join('\n'),
  );
  for (const { bdf, name, findings } of report.beyond.functions)
    parts.push(
      [style.bold(harmless(`${bdf} ${name}`.trim())), ...findings.map((one) => renderAnswer(one.is, one.asks, one, page))].join(
        '\n',
      ),
    );
  return parts.join('\n\n');
}

function renderAnswer(
  is: Answer['is'] | Finding['is'],
  title: string,
  answer: { because: string; fix?: string[] },
  page: Page,
): string {
  const { style } = page;
  const paint = { pass: style.green, fail: style.red, skipped: style.red, warn: style.yellow, unknown: style.yellow }[
    is as string
  ];
  const word = (is === 'not-applicable' ? '-' : is).padEnd(8);
  const [first = '', ...more] = wrap(harmless(`${title}${/[?]$/.test(title) ? '' : ':'} ${answer.because}`), page.width - 10);
  const lines = [`  ${paint === undefined ? word : paint(word)}${first}`, ...more.map((line) => `${' '.repeat(10)}${line}`)];
  if (is === 'pass' || is === 'note' || is === 'not-applicable') return lines.join('\n');
  for (const fix of answer.fix ?? []) lines.push(indent(wrap(harmless(fix), page.width - 12).join('\n'), 12));
  return lines.join('\n');
}
