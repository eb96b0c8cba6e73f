import type { PciFunction } from '../host/functions.ts';
import type { Picture } from '../host/picture.ts';
import type { Verdict } from './check.ts';
import { isBridge } from './facts.ts';
import type { Problem, Rule } from './problem.ts';
import { PROBLEMS } from './problems/index.ts';
import { pfHasVfs } from './problems/pf-has-vfs.ts';
import type { Vm } from './vm.ts';

/** The answer of one rule; functions that it answers alike are one. */
export interface Answer extends Verdict {
  asks: string;
  about: Rule['about'];
  /** Addresses, in the order of the host; empty when it is about the host or a VM. */
  functions: string[];
}

/** A problem with all that its rules say. */
export interface Surveyed {
  problem: Problem;
  /** The worst of its answers: `fail`, `unknown`, `pass`, `not-applicable`. */
  is: Verdict['is'];
  /** In the order of its rules, of each the worst first. */
  answers: Answer[];
}

/** What a survey asks about. */
export interface Subject {
  /** Whether rules about the host are asked. */
  host: boolean;
  functions: readonly PciFunction[];
  /** Functions that stay with the host and shall have VFs: only what is about VFs is asked of them. */
  pfs?: readonly PciFunction[];
  vm?: Vm;
}

/** The worst first. */
export const STATES: readonly Verdict['is'][] = ['fail', 'unknown', 'pass', 'not-applicable'];
export const SEVERITIES: readonly Problem['severity'][] = ['blocker', 'broken', 'risk', 'slow', 'misread'];

/** Everything that a guest could be given, and the host. */
export function wholeHost(picture: Picture): Subject {
  return { host: true, functions: picture.functions.filter((found) => !isBridge(found)) };
}

/** Asks every rule of the catalogue about the subject. Problems without an answer are left out; what fails first comes first. */
export function survey(picture: Picture, subject: Subject): Surveyed[] {
  const surveyed = PROBLEMS.flatMap((problem): Surveyed[] => {
    const answers = problem.rules.flatMap((rule) =>
      sorted(answersOf(rule, picture, { ...subject, functions: askedOf(problem, subject) })),
    );
    const is = STATES.find((state) => answers.some((answer) => answer.is === state));
    return is === undefined ? [] : [{ problem, is, answers }];
  });
  return surveyed.sort(
    (a, b) =>
      STATES.indexOf(a.is) - STATES.indexOf(b.is) ||
      SEVERITIES.indexOf(a.problem.severity) - SEVERITIES.indexOf(b.problem.severity),
  );
}

/** Whether something fails that harms more than speed. */
export function anyHarm(problems: readonly { is: Verdict['is']; severity: Problem['severity'] }[]): boolean {
  return problems.some(({ is, severity }) => is === 'fail' && severity !== 'slow' && severity !== 'misread');
}

function askedOf(problem: Problem, { functions, pfs = [] }: Subject): readonly PciFunction[] {
  // That its VFs would go with it is a question about a PF that is given away itself.
  return problem.category === 'sriov' && problem !== pfHasVfs ? [...functions, ...pfs] : functions;
}

function answersOf(rule: Rule, picture: Picture, { host, functions, vm }: Subject): Answer[] {
  const about = (verdict: Verdict): Answer => ({ asks: rule.asks, about: rule.about, functions: [], ...verdict });
  switch (rule.about) {
    case 'host':
      return host ? [about(rule.run(picture))] : [];
    case 'vm':
      return vm === undefined ? [] : [about(rule.run(vm, picture))];
    case 'function': {
      // Hundreds of VFs have the same to say of themselves.
      const alike = new Map<string, Answer>();
      for (const found of functions) {
        const verdict = rule.run(picture, found);
        const because = impersonal(verdict.because, found);
        const key = `${verdict.is} ${because}`;
        const known = alike.get(key);
        if (known === undefined) alike.set(key, { ...about(verdict), functions: [found.bdf] });
        else {
          known.because = because;
          known.functions.push(found.bdf);
        }
      }
      return [...alike.values()];
    }
    default:
      return rule satisfies never;
  }
}

function sorted(answers: Answer[]): Answer[] {
  return answers.sort((a, b) => STATES.indexOf(a.is) - STATES.indexOf(b.is));
}

/** The words of a verdict without the address and the group of its own function. */
function impersonal(because: string, { bdf, group }: PciFunction): string {
  const text = because.replaceAll(bdf, 'it');
  return group === undefined ? text : text.replace(new RegExp(`\\bgroup ${group}\\b`, 'g'), 'its group');
}
