// When a pattern changes, and how much: the names of RigL (google-research/rigl) and of tensorflow-model-optimization.

import { checkCount, checkNumber, OptionError } from '../errors.js';

/** What is left (in [0, 1]) of a starting value at `u`, the share in [0, 1] of the way from `beginStep` to `endStep`. */
export type Anneal = (u: number) => number;

/** Names of this file's anneals, under which a saved method finds them again, whatever a bundler makes of the functions' own. */
const names = new WeakMap<Anneal, string>();

function named(name: string, anneal: Anneal): Anneal {
  names.set(anneal, name);
  return Object.defineProperty(anneal, 'name', { value: name });
}

/** The name to save for an anneal. */
export function annealName(anneal: Anneal): string {
  return names.get(anneal) ?? 'a function of your own';
}

/** Stays as it is. */
export const constant = named('constant', () => 1);

/** (1 + cos πu)/2: RigL's. */
export const cosine = named('cosine', (u) => (1 + Math.cos(Math.PI * u)) / 2);

/** 1 − u. */
export const linear = named('linear', (u) => 1 - u);

/** (1 − u)^power. Power 1 by default, as in Google's RigL, which gives it this name. */
export function exponential(power = 1): Anneal {
  checkNumber('exponential power', power, 0, Infinity);
  return named(`exponential(${power})`, (u) => (1 - u) ** power);
}

/** (1 − u)³: gradual pruning's way from the initial density to the final one (Zhu and Gupta 2017, https://arxiv.org/abs/1710.01878). */
export const cubic = named('cubic', (u) => (1 - u) ** 3);

export interface ScheduleArgs {
  /**
   * First step that may be followed by an edit, counted by the optimizer. Default: where the run begins (`fitDataset` does not tell: give it where such a
   * run goes on); of gmp and dpf 0, of gap 1. No edit comes before the first step.
   */
  beginStep?: number | undefined;
  /**
   * Last step that may be followed by an edit, counted by the optimizer. Default: where 75 % of the steps of `model.fit` are done, as RigL; needed in a
   * loop of your own.
   */
  endStep?: number | undefined;
  /** Steps from one edit to the next (ΔT). Default 100, as RigL and tfmot; of dpf 16; gap has none. */
  every?: number | undefined;
}

/** The steps t ≥ 1 after which there is an edit: those from `beginStep` to `endStep` with t − beginStep divisible by `every`. */
export class Schedule {
  readonly beginStep: number;
  readonly endStep: number;
  readonly every: number;

  constructor(owner: string, { beginStep = 0, endStep, every = 100 }: ScheduleArgs) {
    this.beginStep = checkCount(`${owner} beginStep`, beginStep, 0);
    this.every = checkCount(`${owner} every`, every, 1);
    if (endStep === undefined) {
      throw new OptionError(
        `${owner} endStep`,
        'the last step of edits (only model.fit over a known number of batches has a default)',
        endStep,
      );
    }
    // Infinity: no end. Nothing that decays over time does so then.
    this.endStep = endStep === Infinity ? endStep : checkCount(`${owner} endStep`, endStep, beginStep);
  }

  /** As it is saved. JSON has no Infinity. */
  toJSON(): Record<string, number | string> {
    const { beginStep, endStep, every } = this;
    return { beginStep, endStep: endStep === Infinity ? 'never' : endStep, every };
  }

  due(step: number): boolean {
    return step >= 1 && step >= this.beginStep && step <= this.endStep && (step - this.beginStep) % this.every === 0;
  }

  /** The share of the way that is gone at `step`, in [0, 1]. */
  progress(step: number): number {
    if (this.endStep === Infinity) return 0;
    if (this.endStep === this.beginStep) return step < this.beginStep ? 0 : 1;
    return Math.min(1, Math.max(0, (step - this.beginStep) / (this.endStep - this.beginStep)));
  }

  /** Whether one of the `n` steps from `step` on is due. */
  dueWithin(step: number, n: number): boolean {
    for (let t = step; t < step + n; t++) if (this.due(t)) return true;
    return false;
  }
}

/** Checks what can be before the run is known: everything but the end. */
export function checkSchedule(owner: string, args: ScheduleArgs, anneal?: Anneal): void {
  if (anneal !== undefined && typeof anneal !== 'function')
    throw new OptionError(`${owner} anneal`, 'a function of the way gone, in [0, 1]', anneal);
  new Schedule(owner, { ...args, endStep: args.endStep ?? Infinity });
}

/** `from` where nothing of the way is gone, `to` at its end. Throws where the anneal leaves [0, 1]. */
export function between(owner: string, from: number, to: number, anneal: Anneal, u: number): number {
  return to + (from - to) * checkNumber(`${owner} anneal(${u})`, anneal(u), 0, 1);
}

/** The anneal of that name. Throws for one that is not of this file. */
export function annealNamed(name: string): Anneal {
  const power = /^exponential\((.+)\)$/.exec(name)?.[1];
  const anneal =
    power === undefined ? [constant, cosine, linear, cubic].find((known) => names.get(known) === name) : exponential(Number(power));
  if (!anneal) throw new OptionError('anneal', 'constant, cosine, linear, cubic or exponential(power)', name);
  return anneal;
}
