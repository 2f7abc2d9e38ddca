import { describe, expect, test } from 'vitest';
import { OptionError } from '../../ts/errors.js';
import {
  type Anneal,
  annealNamed,
  checkSchedule,
  constant,
  cosine,
  cubic,
  exponential,
  linear,
  Schedule,
  type ScheduleArgs,
} from '../../ts/topology/schedule.js';

const schedule = (args: ScheduleArgs) => new Schedule('rigl', args);
const thousand = schedule({ endStep: 1000, every: 1 });

describe('anneals', () => {
  // RigL's fraction 0.3 over 1000 steps.
  test.each([
    [0, 0.3],
    [100, 0.2926584774],
    [250, 0.2560660172],
    [500, 0.15],
    [750, 0.0439339828],
    [1000, 0],
  ])('cosine at step %d', (step, expected) => {
    expect(0.3 * cosine(thousand.progress(step))).toBeCloseTo(expected, 9);
  });

  const gmpSparsity = (step: number, final: number, { progress } = { progress: (t: number) => thousand.progress(t) }) => {
    const density = 1 - final + (1 - (1 - final)) * cubic(progress(step));
    return 1 - density;
  };

  test.each([
    [0, 0],
    [100, 0.2439],
    [250, 0.5203125],
    [500, 0.7875],
    [750, 0.8859375],
    [1000, 0.9],
  ])("cubic at step %d is gradual pruning's", (step, expected) => {
    expect(gmpSparsity(step, 0.9)).toBeCloseTo(expected, 9);
  });

  test('cubic does not count a step more, as jaxpruner does', () => {
    expect(gmpSparsity(251, 0.9)).toBeCloseTo(0.5218292, 6);
    expect(Math.abs(gmpSparsity(250, 0.9) - 0.5218292)).toBeGreaterThan(1e-3);
    // Its own unit test, at its step 9 of 20.
    const twenty = schedule({ endStep: 20, every: 1 });
    expect(gmpSparsity(10, 0.5, { progress: (t) => twenty.progress(t) })).toBeCloseTo(0.4375, 9);
  });

  test.each<[string, Anneal, number[]]>([
    ['constant', constant, [1, 1, 1, 1]],
    ['cosine', cosine, [1, (1 + Math.SQRT1_2) / 2, 0.5, 0]],
    ['linear', linear, [1, 0.75, 0.5, 0]],
    ['cubic', cubic, [1, 0.421875, 0.125, 0]],
    ['exponential, power 1', exponential(), [1, 0.75, 0.5, 0]],
    ['exponential, power 3', exponential(3), [1, 0.421875, 0.125, 0]],
    ['exponential, power 0', exponential(0), [1, 1, 1, 1]],
  ])('%s at no, a quarter, half and all of the way', (_, anneal, expected) => {
    [0, 0.25, 0.5, 1].forEach((u, i) => {
      expect(anneal(u)).toBeCloseTo(expected[i], 12);
    });
  });

  test.each([-1, Number.NaN])('exponential refuses power %d', (power) => {
    expect(() => exponential(power)).toThrow(`exponential power: expected a number >= 0, received ${power}`);
  });

  test.each([constant, cosine, linear, cubic, exponential(), exponential(2.5), exponential(0), exponential(1e-7)])(
    '$name is found by its name',
    (anneal) => {
      const again = annealNamed(anneal.name);
      expect(again.name).toBe(anneal.name);
      for (const u of [0, 0.1, 0.5, 0.9, 1]) expect(again(u)).toBe(anneal(u));
    },
  );

  test.each(['', 'sine', 'exponential', 'exponential()', 'cosine(2)', 'toString'])('no anneal is named "%s"', (name) => {
    expect(() => annealNamed(name)).toThrow(OptionError);
    expect(() => annealNamed(name)).toThrow(
      `anneal: expected constant, cosine, linear, cubic or exponential(power), received ${JSON.stringify(name)}`,
    );
  });

  test.each(['exponential(x)', 'exponential(-1)'])('%s has no such power', (name) => {
    expect(() => annealNamed(name)).toThrow(/exponential power: expected a number >= 0, received (NaN|-1)/);
  });
});

describe('Schedule', () => {
  const dueUpTo = (last: number, args: ScheduleArgs) => {
    const own = schedule(args);
    return Array.from({ length: last + 1 }, (_, step) => step).filter((step) => own.due(step));
  };

  test.each<[string, ScheduleArgs, number[]]>([
    ['every third from the beginning, but not before the first step', { endStep: 10, every: 3 }, [3, 6, 9]],
    ['counts from beginStep', { beginStep: 2, endStep: 10, every: 3 }, [2, 5, 8]],
    ['includes endStep', { beginStep: 1, endStep: 7, every: 3 }, [1, 4, 7]],
    ['every step', { endStep: 4, every: 1 }, [1, 2, 3, 4]],
    ['one step alone', { beginStep: 5, endStep: 5, every: 100 }, [5]],
    ['none, where the end is the beginning at 0', { beginStep: 0, endStep: 0, every: 1 }, []],
    ['none, where every is longer than the way', { endStep: 5, every: 6 }, []],
    ['goes on for ever', { beginStep: 4, endStep: Infinity, every: 8 }, [4, 12, 20]],
  ])('%s', (_, args, expected) => {
    expect(dueUpTo(20, args)).toEqual(expected);
  });

  test('defaults: from step 0, every 100 steps', () => {
    const { beginStep, endStep, every } = schedule({ endStep: 750 });
    expect({ beginStep, endStep, every }).toEqual({ beginStep: 0, endStep: 750, every: 100 });
  });

  test('progress stays in [0, 1] and counts from beginStep', () => {
    const own = schedule({ beginStep: 10, endStep: 30, every: 1 });
    expect([0, 10, 15, 20, 30, 31, 1000].map((step) => own.progress(step))).toEqual([0, 0, 0.25, 0.5, 1, 1, 1]);
  });

  test('progress of a way without length, and of one without end', () => {
    const single = schedule({ beginStep: 5, endStep: 5 });
    expect([4, 5, 6].map((step) => single.progress(step))).toEqual([0, 1, 1]);
    expect(schedule({ endStep: Infinity }).progress(1e9)).toBe(0);
  });

  test('dueWithin looks at so many steps, the first included', () => {
    const own = schedule({ endStep: 20, every: 10 });
    expect([5, 7, 8, 9, 10, 11].map((step) => own.dueWithin(step, 3))).toEqual([false, false, true, true, true, false]);
    expect(own.dueWithin(10, 1)).toBe(true);
    expect(own.dueWithin(9, 1)).toBe(false);
    expect(own.dueWithin(21, 100)).toBe(false);
  });

  test('is saved as plain JSON', () => {
    expect(JSON.stringify(schedule({ endStep: 7 }))).toBe('{"beginStep":0,"endStep":7,"every":100}');
    expect(JSON.stringify(schedule({ endStep: Infinity, every: 2 }))).toBe('{"beginStep":0,"endStep":"never","every":2}');
  });

  const bad: [ScheduleArgs, string][] = [
    [{ every: 0, endStep: 10 }, 'rigl every: expected a whole number >= 1, received 0'],
    [{ every: 1.5, endStep: 10 }, 'rigl every: expected a whole number >= 1, received 1.5'],
    [{ beginStep: -1, endStep: 10 }, 'rigl beginStep: expected a whole number >= 0, received -1'],
    [{ beginStep: 0.5, endStep: 10 }, 'rigl beginStep: expected a whole number >= 0, received 0.5'],
    [{ beginStep: 5, endStep: 4 }, 'rigl endStep: expected a whole number >= 5, received 4'],
    [{ endStep: 10.5 }, 'rigl endStep: expected a whole number >= 0, received 10.5'],
    [{ endStep: Number.NaN }, 'rigl endStep: expected a whole number >= 0, received NaN'],
    [{ endStep: -Infinity }, 'rigl endStep: expected a whole number >= 0, received -Infinity'],
  ];

  test.each(bad)('%o is refused', (args, message) => {
    expect(() => schedule(args)).toThrow(OptionError);
    expect(() => schedule(args)).toThrow(message);
    // Also before the run is known.
    expect(() => checkSchedule('rigl', args)).toThrow(message);
  });

  test('the end is needed at last, but not before the run is known', () => {
    expect(() => schedule({ every: 10 })).toThrow(
      'rigl endStep: expected the last step of edits (only model.fit over a known number of batches has a default), received undefined',
    );
    expect(() => checkSchedule('rigl', { every: 10 })).not.toThrow();
  });
});
