import { describe, expect, test } from 'vitest';
import { dense, type SparseDense } from '../../ts/layers/index.js';
import { type TopKastArgs, topKast } from '../../ts/methods/top_kast.js';
import { adam, momentum, sgd } from '../../ts/optimizers/index.js';
import { expectClose, given, onEachBackend, tf, tfl } from '../support/tf.js';

/** W [rows, cols] from tfjs's kernel [cols, rows]. */
function kernelOf(theta: ArrayLike<number>, rows: number, cols: number): number[] {
  return Array.from({ length: rows * cols }, (_, i) => theta[(i % rows) * cols + Math.floor(i / rows)]);
}

function network(
  theta: ArrayLike<number>,
  rows: number,
  cols: number,
  density: number,
  backwardDensity: number,
): { model: tfl.Sequential; layer: SparseDense } {
  const layer = dense({
    units: rows,
    inputShape: [cols],
    useBias: false,
    density,
    backwardDensity,
    kernelInitializer: given(kernelOf(theta, rows, cols)),
  });
  return { model: tfl.sequential({ layers: [layer] }), layer };
}

function sets(layer: SparseDense): { a: number[]; b: number[] } {
  const a: number[] = [];
  const b: number[] = [];
  layer.pattern.forEach((_, row, col, inA) => {
    const flat = row * layer.pattern.cols + col;
    b.push(flat);
    if (inA) a.push(flat);
  });
  return { a: a.sort((x, y) => x - y), b: b.sort((x, y) => x - y) };
}

// Every number below was computed by hand.
const THETA = [0.9, -0.1, 0.4, -0.8, 0.05, 0.3, -0.2, 0.02];

async function goldenStep(args: TopKastArgs) {
  const { model, layer } = network(THETA, 4, 2, 0.25, 0.5);
  const optimizer = sgd(0.5);
  const method = topKast(args).attach(model, optimizer);
  const before = sets(layer);
  const loss = optimizer.minimize(
    () => {
      const y = model.apply(tf.tensor2d([[1, 2]])) as tf.Tensor;
      return tf.mul(0.5, tf.sum(tf.square(tf.sub(y, [[1, 0, 0, -1]])))) as tf.Scalar;
    },
    true,
    [layer.values],
  ) as tf.Scalar;
  await method.step();
  const result = { loss: loss.dataSync()[0], theta: Array.from(layer.theta()), before, after: sets(layer) };
  method.detach();
  model.dispose();
  optimizer.dispose();
  loss.dispose();
  return result;
}

onEachBackend('topKast', () => {
  test('the golden step', async () => {
    const { loss, theta, before, after } = await goldenStep({ regularization: 0.01 });
    expect(loss).toBeCloseTo(1.785, 5);
    expect(before).toEqual({ a: [0, 3], b: [0, 2, 3, 5] });
    expectClose(theta, [0.9455, -0.1, 1.192, 0.804, 0.05, 0.294, -0.2, 0.02], 1e-6);
    expect(after).toEqual({ a: [0, 2], b: [0, 2, 3, 5] });
    for (const frozen of [1, 4, 6, 7]) expect(theta[frozen]).toBe(Math.fround(THETA[frozen]));
    // 1/sparsity in place of 1/density, as one library had it for half a year, would give:
    expect(Math.abs(theta[2] - 1.19733)).toBeGreaterThan(1e-3);
  });

  test('decoupled, the penalty takes its share after the step', async () => {
    const { theta } = await goldenStep({ regularization: 0.01, decoupled: true });
    const stepped = [0.95, -0.1, 1.2, 0.8, 0.05, 0.3, -0.2, 0.02];
    const decay = [0.005, 0, 0.02, 0.005, 0, 0.02, 0, 0];
    expectClose(
      theta,
      stepped.map((w, i) => w - decay[i] * w),
      1e-6,
    );
  });

  test('with nothing to explore A changes only where a member shrinks below a weight outside it', async () => {
    const { model, layer } = network(THETA, 4, 2, 0.25, 0.25);
    const optimizer = sgd(0.1);
    const method = topKast({ regularization: 0 }).attach(model, optimizer);
    // Only entry 3 (row 1, column 1) moves, towards 0.
    for (let i = 0; i < 6; i++) {
      optimizer.minimize(
        () => tf.sum(tf.mul(tf.mul(-1, model.apply(tf.tensor2d([[0, 1]])) as tf.Tensor), [[0, 1, 0, 0]])) as tf.Scalar,
        false,
        [layer.values],
      );
      await method.step();
    }
    // After four steps it is at -0.8 + 4·0.1, in f32 just below 0.4 in magnitude: entry 2 takes its place, and it stays there.
    expect(sets(layer).a).toEqual([0, 2]);
    expect(layer.theta()[3]).toBeCloseTo(-0.4, 5);
    expect(Math.abs(layer.theta()[3])).toBeLessThan(layer.theta()[2]);
    method.detach();
    model.dispose();
    optimizer.dispose();
  });
});

// --- the dense masked simulation ---------------------------------------------------------------

type Kind = 'sgd' | 'momentum' | 'adam';
const [ROWS, COLS, BATCH, RATE, LAMBDA] = [9, 14, 6, 0.05, 0.02];

/** Top-KAST by its definition: whole vectors, masks, plain loops. Knows nothing of the package. */
class Simulation {
  readonly theta: Float64Array;
  readonly m: Float64Array;
  readonly v: Float64Array;
  readonly steps: Int32Array;
  a = new Set<number>();
  b = new Set<number>();

  constructor(
    start: ArrayLike<number>,
    readonly forward: number,
    readonly backward: number,
    readonly kind: Kind,
  ) {
    this.theta = Float64Array.from(start);
    this.m = new Float64Array(start.length);
    this.v = new Float64Array(start.length);
    this.steps = new Int32Array(start.length);
    this.refresh();
  }

  refresh(): void {
    const order = [...this.theta.keys()].sort((i, j) => Math.abs(this.theta[j]) - Math.abs(this.theta[i]) || i - j);
    const next = new Set(order.slice(0, this.backward));
    for (const i of this.theta.keys()) {
      if (!this.b.has(i) || !next.has(i)) this.m[i] = this.v[i] = this.steps[i] = 0;
    }
    this.a = new Set(order.slice(0, this.forward));
    this.b = next;
  }

  /** One step on ½‖tanh(x·αᵀ) − target‖². */
  step(x: number[][], target: number[][], refresh: boolean): void {
    const gradient = new Float64Array(this.theta.length);
    x.forEach((sample, n) => {
      for (let row = 0; row < ROWS; row++) {
        let sum = 0;
        for (let col = 0; col < COLS; col++) if (this.a.has(row * COLS + col)) sum += this.theta[row * COLS + col] * sample[col];
        const y = Math.tanh(sum);
        const delta = (y - target[n][row]) * (1 - y * y);
        for (let col = 0; col < COLS; col++) gradient[row * COLS + col] += delta * sample[col];
      }
    });
    const density = this.forward / this.theta.length;
    for (const i of this.b) this.move(i, gradient[i] + (this.a.has(i) ? LAMBDA : LAMBDA / density) * this.theta[i]);
    if (refresh) this.refresh();
  }

  move(i: number, g: number): void {
    if (this.kind === 'sgd') this.theta[i] -= RATE * g;
    if (this.kind === 'momentum') {
      this.m[i] = 0.9 * this.m[i] + g;
      this.theta[i] -= RATE * this.m[i];
    }
    if (this.kind === 'adam') {
      const t = ++this.steps[i];
      this.m[i] = 0.9 * this.m[i] + 0.1 * g;
      this.v[i] = 0.999 * this.v[i] + 0.001 * g * g;
      this.theta[i] -= (RATE * (this.m[i] / (1 - 0.9 ** t))) / (Math.sqrt(this.v[i] / (1 - 0.999 ** t)) + 1e-7);
    }
  }
}

describe.each(['cpu', 'wasm'])('50 steps equal a dense masked simulation on %s', (backend) => {
  const makers = { sgd: () => sgd(RATE), momentum: () => momentum(RATE, 0.9), adam: () => adam(RATE, 0.9, 0.999, 1e-7) };
  const stock = { sgd: () => tf.train.sgd(RATE), momentum: () => tf.train.momentum(RATE, 0.9) };
  const runs: [string, Kind, () => tf.Optimizer, number][] = [
    ['our sgd', 'sgd', makers.sgd, 1],
    ['our momentum', 'momentum', makers.momentum, 1],
    ['our adam', 'adam', makers.adam, 1],
    ['our adam, every 7', 'adam', makers.adam, 7],
    ['tf.train.sgd', 'sgd', stock.sgd, 1],
    ['tf.train.momentum', 'momentum', stock.momentum, 3],
  ];

  test.each(runs)('%s', async (_, kind, makeOptimizer, every) => {
    await tf.setBackend(backend);
    const start = tf.randomNormal([ROWS * COLS], 0, 0.5, 'float32', 11).dataSync();
    const [forward, backward] = [Math.round(0.2 * ROWS * COLS), Math.round(0.4 * ROWS * COLS)];
    const { model, layer } = network(start, ROWS, COLS, forward / (ROWS * COLS), backward / (ROWS * COLS));
    const simulation = new Simulation(start, forward, backward, kind);
    const optimizer = makeOptimizer();
    const method = topKast({ every, regularization: LAMBDA }).attach(model, optimizer);
    let moves = 0;
    for (let step = 1; step <= 50; step++) {
      const x = tf.randomNormal<tf.Rank.R2>([BATCH, COLS], 0, 1, 'float32', step);
      const target = tf.randomUniform<tf.Rank.R2>([BATCH, ROWS], -1, 1, 'float32', 1000 + step);
      optimizer.minimize(() => tf.mul(0.5, tf.sum(tf.square(tf.sub(tf.tanh(model.apply(x) as tf.Tensor), target)))) as tf.Scalar, false, [
        layer.values,
      ]);
      const before = sets(layer);
      await method.step();
      simulation.step(x.arraySync(), target.arraySync(), step % every === 0);
      const after = sets(layer);
      expect(after, `sets after step ${step}`).toEqual({
        a: [...simulation.a].sort((i, j) => i - j),
        b: [...simulation.b].sort((i, j) => i - j),
      });
      expectClose(layer.theta(), simulation.theta, 2e-4);
      moves += Number(before.b.join() !== after.b.join());
      tf.dispose([x, target]);
    }
    expect(moves, 'refreshes that changed B').toBeGreaterThan(3);
    method.detach();
    model.dispose();
    optimizer.dispose();
  });
});

describe('under model.fit', () => {
  test('weights outside B stay bit for bit, and the sets move', async () => {
    await tf.setBackend('cpu');
    const layer = dense({ units: 20, density: 0.1, backwardDensity: 0.2, inputShape: [30], activation: 'relu', seed: 3 });
    const model = tfl.sequential({ layers: [layer, tfl.layers.dense({ units: 3, activation: 'softmax' })] });
    model.compile({ optimizer: adam(0.01), loss: 'categoricalCrossentropy' });
    const start = layer.theta().slice();
    const everInB = new Set(sets(layer).b);
    const method = topKast({ every: 2 });
    const step = method.step.bind(method);
    let refreshes = 0;
    method.step = async () => {
      await step();
      refreshes++;
      for (const i of sets(layer).b) everInB.add(i);
    };
    const x = tf.randomNormal([64, 30], 0, 1, 'float32', 1);
    const y = tf.cast(tf.oneHot(tf.argMax(tf.slice(x, [0, 0], [64, 3]), 1), 3), 'float32');
    await model.fit(x, y, { epochs: 6, batchSize: 8, verbose: 0, callbacks: [method] });
    expect(refreshes).toBe(48);
    expect(everInB.size).toBeGreaterThan(120);
    const end = layer.theta();
    for (let i = 0; i < 600; i++) if (!everInB.has(i)) expect(end[i]).toBe(start[i]);
    expect(layer.decay).toEqual({ forward: 0, rest: 0 });
  });

  test('others get their turn while it trains', async () => {
    await tf.setBackend('cpu');
    const model = tfl.sequential({ layers: [dense({ units: 20, density: 0.1, backwardDensity: 0.2, inputShape: [30] })] });
    model.compile({ optimizer: sgd(0.01), loss: 'meanSquaredError' });
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    await model.fit(tf.ones([400, 30]), tf.ones([400, 20]), { epochs: 2, batchSize: 1, verbose: 0, callbacks: [topKast()] });
    clearInterval(timer);
    expect(turns).toBeGreaterThan(3);
  });

  test('the same seeds give the same bits', async () => {
    const run = async () => {
      const model = tfl.sequential({
        layers: [
          dense({ units: 20, density: 0.1, backwardDensity: 0.2, inputShape: [30], seed: 3 }),
          dense({ units: 3, density: 0.5, seed: 4, activation: 'softmax' }),
        ],
      });
      model.compile({ optimizer: adam(0.01), loss: 'categoricalCrossentropy' });
      const x = tf.randomNormal([64, 30], 0, 1, 'float32', 1);
      const y = tf.cast(tf.oneHot(tf.argMax(tf.slice(x, [0, 0], [64, 3]), 1), 3), 'float32');
      await model.fit(x, y, { epochs: 3, shuffle: false, verbose: 0, callbacks: [topKast()] });
      return model.getWeights().map((w) => Array.from(w.dataSync()));
    };
    expect(await run()).toEqual(await run());
  });
});

describe('misuse', () => {
  const layer = () => dense({ units: 4, density: 0.5, inputShape: [4] });

  test('a model without Top-KAST layers', () => {
    const model = tfl.sequential({ layers: [layer()] });
    expect(() => topKast().attach(model, sgd(0.1))).toThrow(/topKast attach: expected a model with layers that have a backwardDensity/);
  });

  test('no optimizer, no attach', async () => {
    const model = tfl.sequential({ layers: [layer()] });
    expect(() => topKast().attach(model)).toThrow('topKast attach: expected a compiled model, or an optimizer');
    await expect(topKast().step()).rejects.toThrow('attach(model) before step()');
  });

  test.each([
    [{ every: 0 }, 'topKast every: expected a whole number >= 1, received 0'],
    [{ regularization: -1 }, 'topKast regularization: expected a number >= 0, received -1'],
  ])('%o', (args, message) => {
    expect(() => topKast(args)).toThrow(message);
  });

  test('weights that have become NaN are named by layer', async () => {
    await tf.setBackend('cpu');
    const { model, layer } = network(THETA, 4, 2, 0.25, 0.5);
    const optimizer = sgd(0.1);
    const method = topKast().attach(model, optimizer);
    tf.tidy(() => layer.values.assign(tf.tensor1d([1, Number.NaN, 2, 3])));
    await expect(method.step()).rejects.toThrow(new RegExp(`topKast ${layer.name} weights: expected numbers .* received "NaN at index`));
  });

  test('an optimizer that hides its slots is named', async () => {
    await tf.setBackend('cpu');
    const { model, layer } = network(THETA, 4, 2, 0.25, 0.5);
    const optimizer = tf.train.adamax(0.5);
    const method = topKast().attach(model, optimizer);
    optimizer.minimize(() => tf.sum(tf.square(tf.sub(model.apply(tf.tensor2d([[1, 2]])) as tf.Tensor, 3))) as tf.Scalar, false, [
      layer.values,
    ]);
    await expect(method.step()).rejects.toThrow(/one whose slots can be read .* received "Adamax"/);
  });
});
