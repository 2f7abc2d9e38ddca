// Interleaved timing. Nothing of Node in here: engines.mjs runs it in a browser too.

export const median = (/** @type {number[]} */ values) => [...values].sort((a, b) => a - b)[values.length >> 1];

/**
 * Times the rivals turn by turn, so that a slow minute of the machine hits all alike. A turn is `turn` ms of one rival, at least one run: whoever
 * is fast trains in a row, as in training, and not with the caches that a slow one left. A rival in another process has a function `turn` that
 * does this there and resolves to the times. Returns milliseconds per run: `min` and `median`.
 * @param {Record<string, (() => unknown) & { turn?: (ms: number) => Promise<number[]> }>} rivals
 * @param {{ warmup: number, rounds: number, turn?: number }} how
 */
export async function interleaved(rivals, { warmup, rounds, turn = 0 }) {
  /** @type {Record<string, number[]>} */
  const times = {};
  for (let round = 0; round < warmup + rounds; round++) {
    for (const [name, run] of Object.entries(rivals)) {
      times[name] ??= [];
      const spent = await (run.turn ?? turnOf(run))(turn);
      if (round >= warmup) times[name].push(...spent);
    }
  }
  return Object.fromEntries(Object.entries(times).map(([name, all]) => [name, { min: Math.min(...all), median: median(all) }]));
}

/** @param {() => unknown} run */
const turnOf = (run) => async (/** @type {number} */ turn) => {
  const spent = [];
  const start = performance.now();
  let end = start;
  do {
    const begin = end;
    await run();
    end = performance.now();
    spent.push(end - begin);
  } while (end - start < turn);
  return spent;
};
