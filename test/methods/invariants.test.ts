// What every drop/grow method keeps, whatever the layers: counts, patterns, values and moments of the survivors.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { conv2d, dense, type SparseConv2D, type SparseDense } from '../../ts/layers/index.js';
import { ggr } from '../../ts/methods/ggr.js';
import { gse } from '../../ts/methods/gse.js';
import { rigl } from '../../ts/methods/rigl.js';
import { set } from '../../ts/methods/set.js';
import { snfs } from '../../ts/methods/snfs.js';
import { momentum } from '../../ts/optimizers/index.js';
import { CsrPattern } from '../../ts/pattern/csr.js';
import { eachLayer, type Rule } from '../../ts/topology/choose.js';
import { type DropGrow, type DropGrowArgs, dropGrow } from '../../ts/topology/drop_grow.js';
import { constant } from '../../ts/topology/schedule.js';
import { memory } from '../../ts/wasm/memory.js';
import { slotsOf } from '../support/forced.js';
import { tf, tfl } from '../support/tf.js';

/** Drops what the last step made smaller the most, grows from the end of the layer. */
const custom: Rule = {
  name: 'custom',
  usesGradients: true,
  dropScore: ({ weights, gradients }) => weights.map((w, i) => -w * gradients[i]),
  grow: eachLayer((layer, k) => {
    const all = Uint32Array.from({ length: layer.rows * layer.cols }, (_, i) => i);
    const free = layer.onlyFree(all);
    return free.subarray(free.length - k);
  }),
};

interface Method {
  make(args: DropGrowArgs): DropGrow;
  /** Layers give to one another; only the sum stays. */
  shares?: boolean;
  grown?: 'drawn';
  /** How many a layer of this size drops at most. */
  drops?: (nnz: number, fraction: number) => number;
}

const floor = (nnz: number, fraction: number) => Math.floor(nnz * fraction);
const methods: Record<string, Method> = {
  'set, sign-split': { make: (args) => set(args), grown: 'drawn', drops: (nnz, f) => Math.ceil(nnz * f) + 1 },
  'set, magnitude': { make: (args) => set({ ...args, dropRule: 'magnitude' }) },
  rigl: { make: (args) => rigl(args) },
  'rigl, a share at random': { make: (args) => rigl({ ...args, randomShare: 0.5, regrow: false }) },
  'rigl, drawn values': { make: (args) => rigl({ ...args, growInit: 'initializer' }), grown: 'drawn' },
  ggr: { make: (args) => ggr(args), shares: true },
  'ggr, l2, regrow': { make: (args) => ggr({ ...args, normalize: 'l2', regrow: true, randomShare: 0.3 }), shares: true },
  'ggr, no minimum': { make: (args) => ggr({ ...args, minNnz: 0 }), shares: true },
  gse: { make: (args) => gse(args), drops: (nnz, f) => Math.ceil(nnz * f) },
  'gse, grabo': { make: (args) => gse({ ...args, sampling: 'grabo', candidates: 2 }), drops: (nnz, f) => Math.ceil(nnz * f) },
  'gse, graest': { make: (args) => gse({ ...args, sampling: 'graest', candidates: 0.5 }), drops: (nnz, f) => Math.ceil(nnz * f) },
  snfs: { make: (args) => snfs(args), shares: true },
  'snfs, regrow, over two steps': { make: (args) => snfs({ ...args, regrow: true, accumulate: 2 }), shares: true },
  custom: { make: (args) => dropGrow(custom, args) },
  'custom, regrow': { make: (args) => dropGrow(custom, { ...args, regrow: true }) },
};

interface Network {
  /** Features in, then units of each layer. */
  sizes: number[];
  densities: number[];
  /** The layer that is left without a weight, if there is one. */
  empty: number | undefined;
  fraction: number;
  seed: number;
  /** Of convolutions, the height and width of their kernels; sizes are channels. */
  kernelSize?: [number, number];
}

const networks: fc.Arbitrary<Network> = fc.integer({ min: 1, max: 4 }).chain((layers) =>
  fc.record({
    sizes: fc.array(fc.constantFrom(1, 1, 2, 3, 7, 16, 17), { minLength: layers + 1, maxLength: layers + 1 }),
    // The least leaves one weight.
    densities: fc.array(fc.constantFrom(1e-6, 0.1, 0.3, 0.5, 0.9, 1), { minLength: layers, maxLength: layers }),
    empty: fc.option(fc.nat(layers - 1), { nil: undefined, freq: 2 }),
    fraction: fc.constantFrom(0, 0.3, 0.5, 1),
    seed: fc.integer({ min: 1, max: 1000 }),
  }),
);

const convolutional = fc
  .tuple(networks, fc.constantFrom<[number, number][]>([1, 1], [2, 1], [3, 2], [2, 5]))
  .map(([network, kernelSize]) => ({ ...network, kernelSize, sizes: network.sizes.map((size) => Math.min(size, 7)) }));

const EDITS = 3;

/** A weight by where it is. */
type Weights = Map<number, { value: number; slot: number }>;

async function read(layer: SparseDense | SparseConv2D, optimizer: tf.Optimizer): Promise<Weights> {
  const values = layer.values.dataSync();
  const slots = (await slotsOf(optimizer, layer))['momentum'];
  expect(values.length).toBe(layer.pattern.nnz);
  expect(slots.length).toBe(layer.pattern.nnz);
  return new Map(Array.from(layer.pattern.flat(), (at, i) => [at, { value: values[i], slot: slots[i] }]));
}

/** Throws unless it is in order, unique and in bounds, and of the forward set alone. */
function proven({ cols, rowOffsets, colIndices, rowSplits, nnz, forwardNnz }: CsrPattern): void {
  const again = new CsrPattern({ cols, rowOffsets: rowOffsets.slice(), colIndices: colIndices.slice() });
  expect(again.rowSplits).toEqual(rowSplits);
  expect(forwardNnz).toBe(nnz);
}

async function run(
  { make, shares, grown: grownAs, drops = floor }: Method,
  { sizes, densities, empty, fraction, seed, kernelSize }: Network,
  makeOptimizer: () => tf.Optimizer,
) {
  const inputShape = kernelSize ? [3, 4, sizes[0]] : [sizes[0]];
  const layers = densities.map((density, i) => {
    const common = {
      density,
      seed: seed + i,
      biasInitializer: tfl.initializers.constant({ value: 0.1 }),
      ...(i === 0 ? { inputShape } : {}),
    };
    return kernelSize
      ? conv2d({ filters: sizes[i + 1], kernelSize, padding: 'same', ...common })
      : dense({ units: sizes[i + 1], ...common });
  });
  const model = tfl.sequential({ layers });
  if (empty !== undefined) {
    const { rows, cols } = layers[empty].pattern;
    layers[empty].edit(CsrPattern.fromFlat(rows, cols, new Uint32Array(0)), new Float32Array(0));
  }
  const optimizer = makeOptimizer();
  const method = make({ dropFraction: fraction, anneal: constant, every: 2, endStep: 2 * EDITS, seed }).attach(model, optimizer);
  const total = () => layers.reduce((sum, { pattern }) => sum + pattern.nnz, 0);
  const atStart = total();
  const trail: unknown[] = [];
  for (let step = 1; step <= 2 * EDITS + 1; step++) {
    const x = tf.randomNormal([4, ...inputShape], 0, 1, 'float32', seed + step);
    optimizer.minimize(() => tf.mean(tf.square(tf.sub(model.apply(x) as tf.Tensor, 1))) as tf.Scalar);
    x.dispose();
    const before: Weights[] = [];
    for (const layer of layers) before.push(await read(layer, optimizer));
    await method.step();
    const report = method.report();
    const after: Weights[] = [];
    for (const layer of layers) {
      proven(layer.pattern);
      after.push(await read(layer, optimizer));
    }
    expect(total(), `weights after step ${step}`).toBe(atStart);
    let [allGrown, allGone] = [0, 0];
    layers.forEach((layer, i) => {
      if (!shares) expect(after[i].size, `weights of ${layer.name} after step ${step}`).toBe(before[i].size);
      let [grown, gone] = [0, 0];
      for (const at of before[i].keys()) if (!after[i].has(at)) gone++;
      for (const [at, { value, slot }] of after[i]) {
        const old = before[i].get(at);
        if (old) {
          // toBe would take −0 for another number, as it is.
          expect([value, slot], `survivor ${at} of ${layer.name}`).toEqual([old.value, old.slot]);
          continue;
        }
        grown++;
        expect(slot, `slot of ${at} of ${layer.name}`).toBe(0);
        if (grownAs === 'drawn') expect(Number.isFinite(value) && value !== 0, `value of ${at} of ${layer.name}`).toBe(true);
        else expect(value, `value of ${at} of ${layer.name}`).toBe(0);
      }
      expect(gone).toBeLessThanOrEqual(drops(before[i].size, fraction));
      if (step % 2 === 1 || step > 2 * EDITS) expect(grown).toBe(0);
      allGrown += grown;
      allGone += gone;
    });
    expect({ grown: report.grown, dropped: report.dropped }).toEqual({ grown: allGrown, dropped: allGone });
    trail.push(after.map((weights) => [...weights]));
  }
  expect(layers.every(({ probe }) => probe === undefined)).toBe(true);
  method.detach();
  model.dispose();
  optimizer.dispose();
  const { c } = optimizer as unknown as { c?: tf.Tensor };
  if (c && !c.isDisposed) c.dispose();
  return trail;
}

describe.each(Object.entries(methods))('%s', (_, method) => {
  test('keeps its invariants over random networks, and repeats itself bit for bit', async () => {
    await tf.setBackend('cpu');
    await fc.assert(
      fc.asyncProperty(networks, async (network) => {
        const once = await run(method, network, () => momentum(0.05, 0.9));
        expect(await run(method, network, () => momentum(0.05, 0.9))).toEqual(once);
      }),
      { numRuns: 12, seed: 7 },
    );
  });

  test('of convolutions too', async () => {
    await tf.setBackend('cpu');
    await fc.assert(
      fc.asyncProperty(convolutional, async (network) => {
        const once = await run(method, network, () => momentum(0.05, 0.9));
        expect(await run(method, network, () => momentum(0.05, 0.9))).toEqual(once);
      }),
      { numRuns: 6, seed: 8 },
    );
  });

  test.each([undefined, [3, 2] as [number, number]])('leaves no tensor and no byte behind, kernel %o', async (kernelSize) => {
    await tf.setBackend('cpu');
    const network: Network = {
      sizes: [7, 16, 1, 3],
      densities: [0.3, 0.5, 0.1],
      empty: undefined,
      fraction: 0.5,
      seed: 1,
      ...(kernelSize ? { kernelSize } : {}),
    };
    // The first run may make room for its largest layer, which stays.
    await run(method, network, () => momentum(0.05, 0.9));
    const [tensors, bytes] = [tf.memory().numTensors, memory().liveBytes];
    await run(method, network, () => momentum(0.05, 0.9));
    expect(tf.memory().numTensors, 'tensors').toBe(tensors);
    expect(memory().liveBytes, 'bytes').toBe(bytes);
  });

  test('with tf.train.momentum as well', async () => {
    await tf.setBackend('wasm');
    const network: Network = { sizes: [16, 17, 1, 1, 3], densities: [0.1, 0.5, 1, 0.3], empty: undefined, fraction: 0.5, seed: 1 };
    for (const empty of [undefined, 0, 3]) await run(method, { ...network, empty }, () => tf.train.momentum(0.05, 0.9));
  });
});

test.each(['glorotNormal', 'glorotUniform', 'randomNormal'] as const)(
  'two layers of seed 0 are the same, with %s',
  async (kernelInitializer) => {
    await tf.setBackend('cpu');
    const values = [0, 1].map(() => {
      const layer = dense({ units: 4, inputShape: [6], density: 0.5, seed: 0, kernelInitializer });
      const model = tfl.sequential({ layers: [layer] });
      const drawn = Array.from(layer.values.dataSync());
      model.dispose();
      return drawn;
    });
    expect(values[0]).toEqual(values[1]);
  },
);

describe('what is drawn', () => {
  const network: Network = { sizes: [17, 16, 7], densities: [0.3, 0.3], empty: undefined, fraction: 0.5, seed: 1 };
  const weights = (method: Method, seed: number) => run(method, { ...network, seed }, () => momentum(0.05, 0.9));

  test.each(['set, sign-split', 'set, magnitude', 'gse', 'gse, grabo', 'gse, graest', 'rigl, a share at random'])(
    '%s depends on the seed',
    async (name) => {
      await tf.setBackend('cpu');
      const { make } = methods[name];
      const other: Method = { ...methods[name], make: (args) => make({ ...args, seed: 99 }) };
      expect(await weights(methods[name], 1)).not.toEqual(await weights(other, 1));
    },
  );
});
