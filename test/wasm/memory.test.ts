import { expect, test } from 'vitest';
import { carve, memory, WasmArray } from '../../ts/wasm/memory.js';

test('a request beyond what wasm can hold is refused in words, and breaks nothing', () => {
  for (const bytes of [2 ** 31, 2 ** 32 + 64]) {
    expect(() => carve(bytes / 4)).toThrow(/no room for \d+ more bytes/);
    expect(() => new WasmArray(bytes / 4)).toThrow(/no room for \d+ more bytes/);
  }
  const before = memory().liveBytes;
  const [a, b] = carve(100, 100);
  expect(b - a).toBe(448);
  expect(memory().liveBytes - before).toBeLessThan(4096);
});
