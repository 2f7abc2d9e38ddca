// Numbers that were all computed by hand. Those of Top-KAST are in top_kast.test.ts.

import { describe, expect, test } from 'vitest';
import { dense, powerDense } from '../../ts/layers/index.js';
import { dpf } from '../../ts/methods/dpf.js';
import { gap } from '../../ts/methods/gap.js';
import { ggr } from '../../ts/methods/ggr.js';
import { distributions, gse } from '../../ts/methods/gse.js';
import { rigl } from '../../ts/methods/rigl.js';
import { set } from '../../ts/methods/set.js';
import { snfs } from '../../ts/methods/snfs.js';
import { adam, momentum, sgd } from '../../ts/optimizers/index.js';
import { Random } from '../../ts/pattern/random.js';
import { eachLayer, type Rule } from '../../ts/topology/choose.js';
import { type DropGrow, dropGrow } from '../../ts/topology/drop_grow.js';
import { best } from '../../ts/topology/layer_view.js';
import { constant } from '../../ts/topology/schedule.js';
import { keptOf, lamp, lampScores } from '../../ts/topology/select.js';
import type { Training } from '../../ts/topology/training.js';
import { digits, forced, type Start, slotsOf, whole } from '../support/forced.js';
import { expectClose, given, onEachBackend, tf, tfl } from '../support/tf.js';

const f32 = (numbers: number[]) => Array.from(Float32Array.from(numbers));
const ONCE = { every: 1, endStep: 1, anneal: constant };
/** For a fraction of everything at the only edit, as the tables have it. */
const once = (dropFraction: number) => ({ ...ONCE, dropFraction });

/** One step at learning rate 0 with the given gradients, and the edit after it. */
async function edited(method: Training, starts: Start[], gradients: number[][]) {
  const { model, layers, step } = forced(starts);
  const optimizer = sgd(0);
  method.attach(model, optimizer);
  step(optimizer, gradients);
  await method.step();
  const result = layers.map((layer) => ({ mask: digits(layer), w: whole(layer), nnz: layer.pattern.nnz }));
  const report = method.report();
  method.detach();
  model.dispose();
  optimizer.dispose();
  return { layers: result, report };
}

// --- Powerpropagation ----------------------------------------------------------------------------

const PHI = [0.5, -0.2, 1.5, 0];
const D_THETA = [0.3, 0.3, -0.3, 0.3];

onEachBackend('Powerpropagation', () => {
  const power = (phi: number, alpha: number) => Math.sign(phi) * Math.abs(phi) ** alpha;

  test.each([
    [2, [0.25, -0.04, 2.25, 0], [0.3, 0.12, -0.9, 0], [0.2209, -0.044944, 2.5281, 0]],
    [3, [0.125, -0.008, 3.375, 0], [0.225, 0.036, -2.025, 0], [0.1088729844, -0.0084398227, 4.9347068906, 0]],
    [1.375, [0.3855527064, -0.1093745411, 1.7463266482, 0], [0.3180809827, 0.2255849911, -0.4802398283, 0], undefined],
  ])('a step of a sparse layer at alpha %d', (alpha, theta, dPhi, next) => {
    const { model, layers, step } = forced([{ w: PHI, args: { alpha } }]);
    const [layer] = layers;
    const optimizer = sgd(0.1);
    tf.tidy(() => expectClose((layer.apply(tf.eye(4)) as tf.Tensor).dataSync(), theta, 1e-6));
    step(optimizer, [D_THETA]);
    const phi = whole(layer);
    expectClose(
      phi,
      PHI.map((p, i) => p - 0.1 * dPhi[i]),
      1e-6,
    );
    if (alpha === 2) expectClose(phi, [0.47, -0.212, 1.59, 0], 1e-6);
    const stepped = tf.tidy(() => Array.from((layer.apply(tf.eye(4)) as tf.Tensor).dataSync()));
    expectClose(stepped, next ?? phi.map((p) => power(p, alpha)), 2e-6);
    // Without the Jacobian the first would be at 0.5 − 0.1·0.3, without its alpha at 0.5 − 0.1·0.3·0.5^(alpha − 1).
    if (alpha !== 2) expect(Math.abs(phi[0] - 0.47)).toBeGreaterThan(1e-3);
    expect(Math.abs(phi[0] - (0.5 - 0.03 * 0.5 ** (alpha - 1)))).toBeGreaterThan(1e-3);
    model.dispose();
    optimizer.dispose();
  });

  test('the initializer means the weights', () => {
    const args = { units: 1, inputShape: [3], useBias: false, alpha: 2, kernelInitializer: given([0.04, -0.09, 0.25]) };
    const sparse = dense({ ...args, density: 1 });
    const full = powerDense(args);
    const models = [sparse, full].map((layer) => tfl.sequential({ layers: [layer] }));
    expectClose(sparse.values.dataSync(), [0.2, -0.3, 0.5], 1e-7);
    expectClose(full.getWeights()[0].dataSync(), [0.2, -0.3, 0.5], 1e-7);
    for (const model of models) model.dispose();
  });

  test.each([
    ['sgd', () => sgd(0.05)],
    ['momentum', () => momentum(0.05, 0.9)],
    ['adam', () => adam(0.01)],
    ["adam on theta's gradients", () => adam(0.01, 0.9, 0.999, 1e-7, 'theta')],
  ])('alpha 1 is bit for bit what it is without: %s', (_, make) => {
    const run = (alpha: number | undefined) => {
      const args = alpha === undefined ? {} : { alpha };
      const layer = dense({ units: 5, inputShape: [7], density: 0.5, seed: 3, ...args });
      const model = tfl.sequential({ layers: [layer] });
      const optimizer = make();
      const x = tf.randomNormal([6, 7], 0, 1, 'float32', 2);
      for (let i = 0; i < 20; i++) optimizer.minimize(() => tf.mean(tf.square(tf.sub(model.apply(x) as tf.Tensor, 1))) as tf.Scalar);
      const end = Array.from(layer.values.dataSync());
      x.dispose();
      model.dispose();
      optimizer.dispose();
      return end;
    };
    expect(run(1)).toEqual(run(undefined));
    expect(run(2)).not.toEqual(run(undefined));
  });

  test.each([2, 3, 1.375])('a zero stays zero for 1000 steps at alpha %d', (alpha) => {
    const { model, layers, step } = forced([{ w: [0.5, 0, -0, 0.2], args: { alpha } }]);
    const optimizers = [sgd(0.001), momentum(0.0001, 0.9), adam(0.001), adam(0.001, 0.9, 0.999, 1e-7, 'theta')];
    for (let i = 0; i < 1000; i++) step(optimizers[i % 4], [[1, 2, -3, 0.1]]);
    const [a, b, c, d] = whole(layers[0]);
    expect([Math.abs(b), Math.abs(c)]).toEqual([0, 0]);
    expect(a).not.toBe(0.5);
    expect(Number.isFinite(a) && Number.isFinite(d)).toBe(true);
    model.dispose();
    for (const optimizer of optimizers) optimizer.dispose();
  });

  test('the loss at the start is the same for every alpha', () => {
    const loss = (alpha: number, sparse: boolean) => {
      const args = { units: 8, inputShape: [20], alpha, kernelInitializer: tfl.initializers.glorotNormal({ seed: 5 }) };
      const layer = sparse ? dense({ ...args, density: 0.3, seed: 5 }) : powerDense(args);
      const model = tfl.sequential({ layers: [layer] });
      const result = tf.tidy(() => {
        const x = tf.randomNormal([10, 20], 0, 1, 'float32', 2);
        return tf.mean(tf.square(tf.sub(model.apply(x) as tf.Tensor, 1))).dataSync()[0];
      });
      model.dispose();
      return result;
    };
    for (const sparse of [true, false]) {
      for (const alpha of [1.375, 2, 3, 5]) expect(loss(alpha, sparse)).toBeCloseTo(loss(1, sparse), 5);
    }
  });
});

// --- RigL ----------------------------------------------------------------------------------------

onEachBackend('RigL masks', () => {
  const W = [0, 1, 0, -1.5, 0, 8, -2, 0];
  const G = [9, 1, 4, 1, 5, 8, 2, 3];
  const MASK = '01010110';

  const table: [number, string, number[]][] = [
    [0, '01010110', W],
    [0.25, '10010110', [0, 0, 0, -1.5, 0, 8, -2, 0]],
    [0.5, '10001110', [0, 0, 0, 0, 0, 8, -2, 0]],
    [0.75, '10101100', [0, 0, 0, 0, 0, 8, 0, 0]],
    // Entry 5 is dropped, and grown again at once with its value.
    [1, '10101100', [0, 0, 0, 0, 0, 8, 0, 0]],
  ];

  for (const rows of [1, 2, 8]) {
    test.each(table)(`drop fraction %d, in ${rows} rows`, async (fraction, mask, w) => {
      // The sign of a gradient does not matter.
      const signs = [1, -1, -1, 1, 1, -1, 1, -1];
      const { layers } = await edited(rigl(once(fraction)), [{ rows, w: W, mask: MASK }], [G.map((g, i) => g * signs[i])]);
      expect(layers).toEqual([{ mask, w, nnz: 4 }]);
    });
  }

  test('without regrowth what was dropped is gone, and less is dropped where less is free', async () => {
    const start = [{ w: W, mask: MASK }];
    const all = await edited(rigl({ ...once(1), regrow: false }), start, [G]);
    expect(all.layers[0]).toEqual({ mask: '10101001', w: [0, 0, 0, 0, 0, 0, 0, 0], nnz: 4 });
    const narrow = await edited(rigl({ ...once(1), regrow: false }), [{ w: W.slice(1), mask: '1110111' }], [G.slice(1)]);
    // One place is free: one is dropped, of two zeros the one at the higher position.
    expect(narrow.layers[0]).toEqual({ mask: '1111110', w: [1, 0, -1.5, 0, 8, -2, 0], nnz: 6 });
  });

  test("jaxpruner's own test: raw parameters as scores", async () => {
    const param = [-9, 1, 4, -1, 5, 8, -2, 3];
    const everywhere = Uint32Array.from(param.keys());
    const rule: Rule = {
      name: 'raw',
      dropScore: ({ weights }) => weights,
      grow: eachLayer((layer, k) => {
        const positions = layer.onlyFree(everywhere);
        return best({ positions, scores: Float32Array.from(positions, (at) => Math.abs(param[at])) }, k);
      }),
    };
    const masks: string[] = [];
    for (const fraction of [0, 0.25, 0.5, 0.75, 1]) {
      const { layers } = await edited(dropGrow(rule, { ...once(fraction), regrow: true }), [{ w: param, mask: MASK }], [G]);
      masks.push(layers[0].mask);
    }
    expect(masks).toEqual(['01010110', '11010100', '11001100', '10101100', '10101100']);
    // Magnitudes as scores drop entry 3 first: as small as entry 1, and behind it.
    const { dropScore: _, ...byMagnitude } = rule;
    const { layers } = await edited(dropGrow(byMagnitude, { ...once(0.25), regrow: true }), [{ w: param, mask: MASK }], [G]);
    expect(layers[0].mask).toBe('11000110');
  });

  test.each([
    ['momentum', () => momentum(1e-6, 0.9)],
    ['adam', () => adam(1e-6)],
    ['tf.train.momentum', () => tf.train.momentum(1e-6, 0.9)],
    ['tf.train.adam', () => tf.train.adam(1e-6)],
    ['tf.train.rmsprop', () => tf.train.rmsprop(1e-6, 0.9, 0.5)],
    ['tf.train.adadelta', () => tf.train.adadelta(1e-6)],
  ])('the newly grown have fresh slots, and no others: %s', async (_, make) => {
    const { model, layers, step } = forced([{ rows: 2, w: W, mask: MASK }]);
    const optimizer = make();
    const method = rigl(once(1)).attach(model, optimizer);
    step(optimizer, [G]);
    const before = await slotsOf(optimizer, layers[0]);
    await method.step();
    const after = await slotsOf(optimizer, layers[0]);
    expect(digits(layers[0])).toBe('10101100');
    const names = Object.keys(before);
    expect(names.length).toBeGreaterThan(0);
    for (const name of names) {
      // Entry 5 was third of four, and is the last now.
      expect(
        before[name].every((s) => s !== 0),
        name,
      ).toBe(true);
      expect([name, after[name]]).toEqual([name, [0, 0, 0, before[name][2]]]);
    }
    method.detach();
    model.dispose();
    optimizer.dispose();
    const { c } = optimizer as unknown as { c?: tf.Tensor };
    if (c && !c.isDisposed) c.dispose();
  });

  test('adagrad starts a grown weight where it starts any', async () => {
    const { model, layers, step } = forced([{ w: W, mask: MASK }]);
    const optimizer = tf.train.adagrad(0, 0.25);
    const method = rigl(once(1)).attach(model, optimizer);
    step(optimizer, [G]);
    await method.step();
    const slots = Object.values(await slotsOf(optimizer, layers[0]));
    expect(slots).toEqual([[0.25, 0.25, 0.25, 64.25]]);
    method.detach();
    model.dispose();
    optimizer.dispose();
  });
});

// --- GGR -----------------------------------------------------------------------------------------

onEachBackend('GGR', () => {
  const starts: Start[] = [
    { w: [0.5, -0.1, 0, 0.3, 0, -0.7], mask: '110101' },
    { w: [0.2, 0, 0, -0.4, 0, 0.05, 0, 0.6, 0, 0], mask: '1001010100' },
  ];
  const gradients = [
    [0.01, 0.95, 0.9, 0.01, 0.8, 0.05],
    [0.1, 0.3, 0.2, 0.1, 0.25, 0.4, 0.7, 0.1, 0.05, 0.01],
  ];
  const run = (args: Parameters<typeof ggr>[0]) => edited(ggr({ ...once(0.5), ...args }), starts, gradients);

  test('just dropped positions are eligible: nnz 5 and 3', async () => {
    const { layers, report } = await run({ regrow: true });
    expect(layers.map(({ mask }) => mask)).toEqual(['111011', '0001001100']);
    expect(layers.map(({ nnz }) => nnz)).toEqual([5, 3]);
    // Entry 1 of the first returned with its value.
    expect(layers[0].w).toEqual(f32([0.5, -0.1, 0, 0, 0, -0.7]));
    expect(layers[1].w).toEqual(f32([0, 0, 0, -0.4, 0, 0, 0, 0.6, 0, 0]));
    expect(report).toMatchObject({ dropped: 3, grown: 3, regrown: 0, density: 0.5 });
  });

  test('just dropped positions are not: nnz 4 and 4', async () => {
    const { layers } = await run({});
    expect(layers.map(({ mask }) => mask)).toEqual(['101011', '0101001100']);
    expect(layers.map(({ nnz }) => nnz)).toEqual([4, 4]);
  });

  test('a minimum is served first, from the own best: 4 and 4', async () => {
    const { layers } = await run({ regrow: true, minNnz: 4 });
    expect(layers.map(({ mask }) => mask)).toEqual(['111001', '0001011100']);
    expect(layers.map(({ nnz }) => nnz)).toEqual([4, 4]);
    expect(layers[1].w).toEqual(f32([0, 0, 0, -0.4, 0, 0.05, 0, 0.6, 0, 0]));
  });

  test('a minimum asks for no more than a layer had', async () => {
    const { layers } = await run({ regrow: true, minNnz: 100 });
    expect(layers.map(({ nnz }) => nnz)).toEqual([4, 4]);
  });

  test('of equal gradients over layers the lower layer, then the lower position wins', async () => {
    const flat = starts.map(({ w }) => w.map(() => 0.5));
    const { layers } = await edited(ggr(once(0.5)), starts, flat);
    // Layer 0 has two free places, layer 1 six.
    expect(layers.map(({ mask }) => mask)).toEqual(['101011', '0111000100']);
  });

  test('l2 compares shares of the norm', async () => {
    // The first layer's gradients are a thousand times as large; relative to its norm they are as before.
    const scaled = [gradients[0].map((g) => 1000 * g), gradients[1]];
    const plain = await edited(ggr({ ...once(0.5), regrow: true, minNnz: 0 }), starts, scaled);
    expect(plain.layers.map(({ nnz }) => nnz)).toEqual([6, 2]);
    const even = await edited(ggr({ ...once(0.5), regrow: true, normalize: 'l2', minNnz: 0 }), starts, scaled);
    // Norms 1.538 and 0.951: relative scores .617 .585 .520 | .736 .421 .315 .263 …
    expect(even.layers.map(({ mask }) => mask)).toEqual(['111011', '0001001100']);
    const unscaled = await edited(ggr({ ...once(0.5), regrow: true, normalize: 'l2', minNnz: 0 }), starts, gradients);
    expect(unscaled.layers).toEqual(even.layers);
  });

  test('of a single layer it is RigL', async () => {
    for (const regrow of [true, false]) {
      for (const [i, start] of starts.entries()) {
        for (const fraction of [0.25, 0.5, 1]) {
          const args = { ...once(fraction), regrow };
          const [a, b] = [await edited(ggr(args), [start], [gradients[i]]), await edited(rigl(args), [start], [gradients[i]])];
          expect(a.layers).toEqual(b.layers);
        }
      }
    }
  });

  test('a layer without gradients shrinks by what it drops', async () => {
    for (const regrow of [true, false]) {
      // The first layer offers two places: with a quarter as fraction, two are asked for in all.
      const fraction = 0.25;
      const { layers } = await edited(ggr({ ...once(fraction), regrow }), starts, [gradients[0], gradients[1].map(() => 0)]);
      expect(layers.map(({ nnz }) => nnz)).toEqual([5, 3]);
    }
  });

  test('the sum stays when no layer has a gradient', async () => {
    const { layers } = await edited(
      ggr(once(0.5)),
      starts,
      gradients.map((g) => g.map(() => 0)),
    );
    expect(layers[0].nnz + layers[1].nnz).toBe(8);
  });
});

// --- LAMP, SET, GSE, DPF, GaP --------------------------------------------------------------------

describe('LAMP', () => {
  const layers = [Float32Array.of(1, -2, 3, 0.5), Float32Array.of(0.1, -0.2, 0.05)];

  test('scores', () => {
    expectClose(lampScores(layers[0]), [0.0714285714, 0.3076923077, 1, 0.0175438596], 1e-7);
    expectClose(lampScores(layers[1]), [0.2, 1, 0.0476190476], 1e-7);
    // Over all squares of the layer, a slip, the largest would not score 1.
    expect(Math.abs(lampScores(layers[0])[2] - 9 / 14.25)).toBeGreaterThan(0.1);
  });

  test('of equal squares the lower index ranks above', () => {
    expectClose(lampScores(Float32Array.of(1, -1, 1)), [1, 1 / 2, 1 / 3], 1e-7);
    expect(Array.from(lampScores(new Float32Array(3)))).toEqual([0, 0, 0]);
  });

  test.each([
    [
      4,
      [
        [1, 2],
        [0, 1],
      ],
    ],
    [3, [[1, 2], [1]]],
  ])('keeps %d of all', (count, expected) => {
    const named = layers.map((weights, i) => ({ name: `layer ${i}`, weights }));
    const kept = keptOf('test', named, [count, 0], 'lamp').map((own) => Array.from(own));
    expect(kept).toEqual(expected);
    // By magnitude the second layer would have none.
    expect(keptOf('test', named, [count, 0], 'global')[1]).toHaveLength(0);
  });

  test('as a distribution of densities', () => {
    expect(lamp(layers, 4 / 7)).toEqual([2 / 4, 2 / 3]);
    expect(lamp(layers, 3 / 7)).toEqual([2 / 4, 1 / 3]);
  });
});

onEachBackend('SET', () => {
  const W = [-0.9, -0.5, -0.2, -0.1, 0.05, 0.3, 0.6, 0.8];
  const survivors = async (args: Parameters<typeof set>[0]) => {
    const start = { w: [...W, ...new Array<number>(12).fill(0)], mask: '1'.repeat(8) + '0'.repeat(12) };
    const { layers } = await edited(set({ ...ONCE, ...args }), [start], [start.w]);
    expect(layers[0].nnz).toBe(8);
    return { kept: W.filter((_, i) => layers[0].mask[i] === '1'), grown: layers[0].w.slice(8).filter((w) => w !== 0).length };
  };

  test('each sign drops for itself, rounding up', async () => {
    expect(await survivors({})).toEqual({ kept: [-0.9, -0.5, 0.6, 0.8], grown: 4 });
    // Down, it would keep the −0.2 and the 0.3.
    expect(await survivors({ dropFraction: 0.25 })).toEqual({ kept: [-0.9, -0.5, -0.2, 0.3, 0.6, 0.8], grown: 2 });
  });

  test("'magnitude' drops over both signs, rounding down, and grows at 0", async () => {
    expect(await survivors({ dropRule: 'magnitude' })).toEqual({ kept: [-0.9, -0.5, 0.3, 0.6, 0.8].toSpliced(2, 0, -0.2), grown: 0 });
    expect(await survivors({ dropRule: 'magnitude', dropFraction: 0.5 })).toEqual({ kept: [-0.9, -0.5, 0.6, 0.8], grown: 0 });
  });
});

describe('GSE distributions', () => {
  // H = [[1, −2], [.5, .5], [0, 3]] and δ = [[.1, −.2], [.4, .4]], here by sample.
  const samples = { batch: 2, x: Float32Array.of(1, 0.5, 0, -2, 0.5, 3), dy: Float32Array.of(0.1, 0.4, -0.2, 0.4) };
  const gradient = [
    [0.5, 0.4],
    [0.05, 0.4],
    [0.6, 1.2],
  ];

  test('GraBo: sums of magnitudes, whose product bounds the gradient', () => {
    const [f, g] = distributions(samples, 2, 3, undefined);
    expectClose(f, [3, 1, 3], 1e-7);
    expectClose(g, [0.3, 0.8], 1e-7);
    gradient.forEach((row, i) => {
      row.forEach((bound, j) => {
        expect(f[i] * g[j]).toBeGreaterThanOrEqual(bound);
      });
    });
    expectClose(Array.from(f, (a) => Array.from(g, (b) => a * b)).flat(), [0.9, 2.4, 0.3, 0.8, 0.9, 2.4], 1e-6);
  });

  /** A generator whose first two signs are these. */
  const signs = (first: number, second: number): Random => {
    for (let seed = 0; ; seed++) {
      const random = new Random(seed);
      if (first > 0 === random.next() >= 0.5 && second > 0 === random.next() >= 0.5) return new Random(seed);
    }
  };

  test('GraEst: sums under one random sign for each sample', () => {
    const [f, g] = distributions(samples, 2, 3, signs(1, -1));
    expectClose(f, [3, 0, 3], 1e-7);
    expectClose(g, [0.3, 0], 1e-7);
    const [alike] = distributions(samples, 2, 3, signs(1, 1));
    expectClose(alike, [1, 1, 3], 1e-7);
  });

  test('GraEst: the mean over all signs is the gradient', () => {
    // |f|·|g| over the four pairs of signs: of one sample each it would be the gradient itself; here the cross terms only add.
    let sum = 0;
    for (const s of [1, -1]) for (const t of [1, -1]) sum += distributions(samples, 2, 3, signs(s, t)).reduce((p, own) => p * own[0], 1);
    // Signs alike: |1 − 2|·|.1 − .2|; unlike: |1 + 2|·|.1 + .2|: 0.1 and 0.9, half of each.
    expect(sum / 4).toBeCloseTo(gradient[0][0], 6);
  });
});

onEachBackend('DPF', () => {
  test('the golden trajectory', async () => {
    const W = [0.5, 0.3, -0.4, 0.1];
    const layer = dense({ units: 1, inputShape: [4], useBias: false, density: 0.5, backwardDensity: 1, kernelInitializer: given(W) });
    const model = tfl.sequential({ layers: [layer] });
    const optimizer = sgd(0.1);
    const method = dpf({ density: 0.5, every: 1, endStep: 1 }).attach(model, optimizer);
    const masks: string[] = [];
    const weights: Float32Array[] = [];
    const mask = () => {
      const on = [0, 0, 0, 0];
      layer.pattern.forEach((_, _row, col, inA) => {
        on[col] = Number(inA);
      });
      return on.join('');
    };
    for (let i = 0; i < 3; i++) {
      masks.push(mask());
      optimizer.minimize(
        () => tf.mul(0.5, tf.sum(tf.square(tf.sub(model.apply(tf.tensor2d([[1, 2, 1, 3]])) as tf.Tensor, 1)))) as tf.Scalar,
      );
      await method.step();
      weights.push(layer.theta());
    }
    // The second edit is after endStep: weights go on changing places.
    expect([...masks, mask()]).toEqual(['1010', '1100', '1100', '1010']);
    expectClose(weights[0], [0.59, 0.48, -0.31, 0.37], 1e-6);
    expectClose(weights[1], [0.535, 0.37, -0.365, 0.205], 1e-6);
    expectClose(weights[2], [0.5075, 0.315, -0.3925, 0.1225], 1e-6);
    // The gradient at the dense model would be another: y = 1, error 0 at the start.
    expect(weights[0][0]).not.toBeCloseTo(0.5, 3);
    method.detach();
    model.dispose();
    optimizer.dispose();
  });
});

onEachBackend('GaP', () => {
  test('after each edit one partition of three is dense, and the third one is as it was, bit for bit', async () => {
    const random = new Random(3);
    const starts = [0, 1, 2].map(() => {
      const w = Array.from({ length: 50 }, () => random.next() - 0.5);
      return { rows: 5, w, mask: Array.from(w, (_, i) => Number(i % 5 === 2)).join('') };
    });
    const { model, layers, step } = forced(starts);
    const optimizer = momentum(0.01, 0.9);
    const method = gap({ partitions: 3, every: 1, endStep: 9 }).attach(model, optimizer);
    for (let s = 1; s <= 9; s++) {
      step(
        optimizer,
        layers.map(() => Array.from({ length: 50 }, () => random.next() - 0.5)),
      );
      const before = layers.map(({ pattern, values }) => ({ pattern, mask: digits({ pattern }), values: Array.from(values.dataSync()) }));
      await method.step();
      const open = s === 9 ? -1 : (s - 1) % 3;
      const closing = s === 1 ? -1 : (s - 2) % 3;
      layers.forEach((layer, i) => {
        expect(layer.pattern.nnz, `layer ${i} after step ${s}`).toBe(i === open ? 50 : 10);
        const values = Array.from(layer.values.dataSync());
        if (i !== open && i !== closing) {
          expect(layer.pattern).toBe(before[i].pattern);
          expect(values).toEqual(before[i].values);
        }
        if (i === open) {
          const grown = whole(layer).filter((_, at) => before[i].mask[at] === '0');
          expect(grown).toEqual(new Array(40).fill(0));
        }
        if (i === closing) {
          const largest = before[i].values.toSorted((a, b) => Math.abs(b) - Math.abs(a)).slice(0, 10);
          expect(values.toSorted()).toEqual(largest.toSorted());
        }
      });
      const { layers: densities } = method.report();
      expect(Object.values(densities)).toEqual([0, 1, 2].map((i) => (i === open ? 1 : 0.2)));
    }
    method.detach();
    model.dispose();
    optimizer.dispose();
  });
});

// --- optimizers and fresh slots ------------------------------------------------------------------

onEachBackend('the first step of a weight grown at step 1000', () => {
  test.each([
    ['our adam: one learning rate', (rate: number) => adam(rate), 1, 1e-4],
    // What the count in common does. 2.5146 with the count at 1000; the next is 1001.
    ['tf.train.adam: 2.5 of them', (rate: number) => tf.train.adam(rate), 2.5146, 5e-3],
  ])('%s', async (_, make, lengths, tolerance) => {
    const rate = 0.001;
    const { model, layers, step } = forced([{ w: [5, 4, -3, 1e-6, 0, 0], mask: '111100' }]);
    const optimizer = make(rate);
    const method = rigl({ dropFraction: 0.25, anneal: constant, beginStep: 1000, endStep: 1000, every: 1, regrow: false });
    method.attach(model, optimizer);
    const g = [[0.1, -0.1, 0.1, 0, 0.3, 0.2]];
    for (let i = 0; i < 1000; i++) {
      step(optimizer, g);
      await method.step();
    }
    expect(digits(layers[0])).toBe('111010');
    expect(whole(layers[0])[4]).toBe(0);
    step(optimizer, g);
    expect(Math.abs(whole(layers[0])[4] / -rate - lengths)).toBeLessThan(tolerance * lengths);
    method.detach();
    model.dispose();
    optimizer.dispose();
  });
});

// --- what has been explored ----------------------------------------------------------------------

describe('ITOP', () => {
  test.each([
    [false, 1 - 0.9 * (1 - 30 / 900) ** 20, 0.54],
    [true, 1 - 0.9 * (1 - 30 / 930) ** 20, 0.53],
  ])('share of positions ever used, just dropped ones eligible: %s', async (regrow, expectation, rounded) => {
    await tf.setBackend('cpu');
    expect(expectation).toBeCloseTo(rounded, 2);
    const shares: number[] = [];
    for (let seed = 0; seed < 40; seed++) {
      const layer = dense({ units: 20, inputShape: [50], density: 0.1, seed });
      const model = tfl.sequential({ layers: [layer] });
      const optimizer = sgd(0);
      const args = { dropRule: 'magnitude', dropFraction: 0.3, anneal: constant, every: 1, endStep: 20, regrow, seed } as const;
      const method = set(args).attach(model, optimizer);
      for (let i = 0; i < 20; i++) {
        optimizer.applyGradients([]);
        await method.step();
      }
      const report = method.report();
      const explored = report.explored as number;
      expect(report.grown).toBe(report.dropped);
      if (!regrow) expect(report.grown).toBe(600);
      expect(report.density).toBe(0.1);
      expect(Math.abs(explored - expectation)).toBeLessThan(0.05);
      // What was never there before is what the share has grown by.
      expect(report.grown - report.regrown).toBe(Math.round(1000 * (explored - 0.1)));
      shares.push(explored);
      method.detach();
      model.dispose();
      optimizer.dispose();
    }
    const mean = shares.reduce((a, b) => a + b, 0) / shares.length;
    expect(Math.abs(mean - expectation)).toBeLessThan(0.0045);
  });
});

describe('what each method was published with', () => {
  // As published: RigL .3 along a cosine, every 100; SET .3 without decay; GSE .2, every 1000; SNFS .5.
  test.each<[string, () => DropGrow, number, string, boolean]>([
    ['rigl', () => rigl(), 0.3, 'cosine', true],
    ['set', () => set(), 0.3, 'constant', false],
    ['set by magnitude', () => set({ dropRule: 'magnitude' }), 0.3, 'cosine', false],
    ['ggr', () => ggr(), 0.3, 'cosine', false],
    ['gse', () => gse(), 0.2, 'cosine', false],
    ['snfs', () => snfs(), 0.5, 'cosine', false],
    // What is undefined is as good as left out.
    ['rigl', () => rigl({ regrow: undefined, dropFraction: undefined, anneal: undefined }), 0.3, 'cosine', true],
    ['set', () => set({ anneal: undefined, growInit: undefined }), 0.3, 'constant', false],
    ['snfs', () => snfs({ dropFraction: undefined }), 0.5, 'cosine', false],
  ])('%s', (_, make, dropFraction, anneal, regrow) => {
    const method = make();
    expect({ dropFraction: method.dropFraction, anneal: method.anneal.name, regrow: method.regrow }).toEqual({
      dropFraction,
      anneal,
      regrow,
    });
    expect({ accumulate: method.accumulate, seed: method.seed }).toEqual({ accumulate: 1, seed: 0 });
  });

  test.each<[string, () => DropGrow, number]>([
    ['rigl', () => rigl({ endStep: 1 }), 100],
    ['gse', () => gse({ endStep: 1 }), 1000],
    ['gse, every undefined', () => gse({ endStep: 1, every: undefined }), 1000],
  ])('%s: steps between edits', (_, make, every) => {
    const model = tfl.sequential({ layers: [dense({ units: 2, inputShape: [3], density: 0.5 })] });
    const method = make().attach(model, sgd(0.1));
    expect(method.schedule.every).toBe(every);
    method.detach();
    model.dispose();
  });
});
