import { expect, test } from 'vitest';
import { crossing, interleaved } from '../../ts/cli/measure.js';

test('interleaved takes turns, leaves warm-up out and asks rivals elsewhere for theirs', async () => {
  const seen: string[] = [];
  const here = () => seen.push('here');
  const elsewhere = Object.assign(() => {}, {
    turn: async (ms: number) => {
      seen.push(`elsewhere ${ms}`);
      return [3, 1, 2];
    },
  });
  const times = await interleaved({ here, elsewhere }, { warmup: 1, rounds: 2 });
  expect(seen).toEqual(['here', 'elsewhere 0', 'here', 'elsewhere 0', 'here', 'elsewhere 0']);
  expect(times.elsewhere).toEqual({ min: 1, median: 2 });
  expect(times.here.min).toBeGreaterThanOrEqual(0);
});

test('crossing lies on the line between two points', () => {
  const points = [
    [0.1, 4],
    [0.5, 20],
    [1, 45],
  ] as const;
  expect(crossing([...points], 30)).toBeCloseTo(0.7);
  expect(crossing([...points], 20)).toBeCloseTo(0.5);
  expect(crossing([...points], 3)).toBe(0.1);
  expect(crossing([...points], 50)).toBeUndefined();
});
