import { describe, expect, test } from 'vitest';
import { alphas, powerprop } from '../../ts/ops/powerprop.js';
import { adam, momentum, SparseAdam, SparseMomentum, sgd } from '../../ts/optimizers/index.js';
import { memory } from '../../ts/wasm/memory.js';
import { expectClose, onEachBackend, tf, variable } from '../support/tf.js';

const pairs = [
  ['sgd', () => sgd(0.1), () => tf.train.sgd(0.1)],
  ['momentum', () => momentum(0.1, 0.9), () => tf.train.momentum(0.1, 0.9)],
  ['Nesterov momentum', () => momentum(0.1, 0.9, true), () => tf.train.momentum(0.1, 0.9, true)],
  ['adam', () => adam(0.01), () => tf.train.adam(0.01)],
] as const;

const START = [1, -2, 3, 0.5, -0.25];

/** Runs steps on a fixed quadratic; returns where the weights end. */
function descend(optimizer: tf.Optimizer, w: tf.Variable, steps: number): void {
  for (let i = 0; i < steps; i++)
    optimizer.minimize(() => tf.sum(tf.mul(tf.square(tf.sub(w, 1)), [1, 2, 3, 4, 5])) as tf.Scalar, false, [w]);
}

onEachBackend('optimizers', () => {
  test.each(pairs)('%s takes the steps of tf.train', (_, ours, theirs) => {
    const [a, b] = [variable(START), variable(START)];
    const [first, second] = [ours(), theirs()];
    descend(first, a, 50);
    descend(second, b, 50);
    expectClose(a.dataSync(), b.dataSync(), 2e-4);
    first.dispose();
    second.dispose();
    // tfjs's momentum forgets the scalar of its base class (tfjs issue 4647).
    const { c } = second as unknown as { c?: tf.Tensor };
    if (c && !c.isDisposed) c.dispose();
    tf.dispose([a, b]);
  });

  test.each(pairs)('%s goes on from saved weights as if nothing had happened', async (_, ours) => {
    const [whole, parts] = [variable(START), variable(START)];
    const [a, b, c] = [ours(), ours(), ours()];
    descend(a, whole, 20);
    descend(b, parts, 13);
    await c.setWeights(await b.getWeights());
    expect(c.iterations).toBe(13);
    descend(c, parts, 7);
    expect(Array.from(parts.dataSync())).toEqual(Array.from(whole.dataSync()));
    for (const optimizer of [a, b, c]) optimizer.dispose();
    tf.dispose([whole, parts]);
  });

  test.each(pairs)('%s that was restored and saved again has lost nothing', async (_, ours) => {
    const w = variable(START);
    const [a, b] = [ours(), ours()];
    descend(a, w, 5);
    const saved = await a.getWeights();
    await b.setWeights(saved);
    const again = await b.getWeights();
    expect(again.map(({ name, tensor }) => [name, tensor.dtype, ...tensor.dataSync()])).toEqual(
      saved.map(({ name, tensor }) => [name, tensor.dtype, ...tensor.dataSync()]),
    );
    for (const optimizer of [a, b]) optimizer.dispose();
    w.dispose();
  });

  test.each(pairs)('%s comes back from its config', (_, ours) => {
    const optimizer = ours();
    const Class = optimizer.constructor as unknown as typeof optimizer.constructor & {
      fromConfig(cls: unknown, config: tf.serialization.ConfigDict): tf.Optimizer;
    };
    const twin = Class.fromConfig(Class, optimizer.getConfig());
    expect(twin.getConfig()).toEqual(optimizer.getConfig());
    expect(twin.getClassName()).toBe(optimizer.getClassName());
    optimizer.dispose();
    twin.dispose();
  });

  test('slots are freed', () => {
    const w = variable(new Float32Array(1000));
    const round = () => {
      const optimizer = momentum(0.1, 0.9);
      descendOnce(optimizer, w);
      const held = memory().liveBytes;
      optimizer.dispose();
      return held;
    };
    round(); // working memory has its size now
    const before = memory().liveBytes;
    expect(round()).toBe(before + 4000);
    expect(memory().liveBytes).toBe(before);
    w.dispose();
  });
});

describe('bad constants', () => {
  test.each([
    [() => sgd(-1), 'optimizers.sgd learningRate: expected a number >= 0, received -1'],
    [() => sgd(Number.NaN), 'optimizers.sgd learningRate'],
    [() => momentum(0.1, 2), 'optimizers.momentum momentum: expected a number in [0, 1], received 2'],
    [() => momentum(0.1, 0.9, 'theta' as never), 'optimizers.momentum useNesterov: expected true or false, received "theta"'],
    [() => adam(0.1, 1), 'optimizers.adam beta1'],
    [() => adam(0.1, 0.9, 1.5), 'optimizers.adam beta2'],
    [() => adam(0.1, 0.9, 0.99, -1), 'optimizers.adam epsilon'],
  ])('are refused by name', (make, message) => {
    expect(make).toThrow(message);
  });

  test('a rate may be set, to a rate', () => {
    const optimizer = sgd(0.5);
    optimizer.learningRate = 0.25;
    expect(() => Object.assign(optimizer, { learningRate: Number.NaN })).toThrow('learningRate: expected a number >= 0');
    const w = tf.variable(tf.tensor1d([1]));
    optimizer.applyGradients({ [w.name]: tf.tensor1d([2]) });
    expect([...w.dataSync()]).toEqual([0.5]);
    expect(optimizer.getConfig()).toMatchObject({ learningRate: 0.25 });
    tf.disposeVariables();
  });
});

describe('moments of a layer with Powerpropagation', () => {
  const start = [0.5, -0.2, 1.5, 0];
  const alpha = 2;
  const steps = 30;
  /** ∂L/∂θ of L = ½Σ(θ − 1)². */
  const gradient = (theta: number) => theta - 1;
  const theta = (phi: number) => phi * Math.abs(phi);
  const jacobian = (phi: number) => alpha * Math.abs(phi);

  test.each([
    ['momentum', () => momentum(0.05, 0.9, false, 'theta')],
    ['nesterov', () => momentum(0.05, 0.9, true, 'theta')],
    ['adam', () => adam(0.05, 0.9, 0.999, 1e-7, 'theta')],
  ])('on theta: %s takes the step of the weight through the Jacobian', async (name, make) => {
    await tf.setBackend('cpu');
    const phi = variable(start);
    alphas.set(phi, alpha);
    const optimizer = make();
    const [w, m, v] = [Float64Array.from(start), new Float64Array(4), new Float64Array(4)];
    for (let t = 1; t <= steps; t++) {
      optimizer.minimize(() => tf.mul(0.5, tf.sum(tf.square(tf.sub(powerprop(phi, alpha), 1)))) as tf.Scalar, false, [phi]);
      w.forEach((p, i) => {
        // Where φ is 0, its gradient says nothing of θ's.
        const g = p === 0 ? 0 : gradient(theta(p));
        let step = 0;
        if (name === 'adam') {
          m[i] = 0.9 * m[i] + 0.1 * g;
          v[i] = 0.999 * v[i] + 0.001 * g * g;
          step = m[i] / (1 - 0.9 ** t) / (Math.sqrt(v[i] / (1 - 0.999 ** t)) + 1e-7);
        } else {
          m[i] = 0.9 * m[i] + g;
          step = name === 'nesterov' ? g + 0.9 * m[i] : m[i];
        }
        w[i] = p - jacobian(p) * 0.05 * step;
      });
      expectClose(phi.dataSync(), w, 1e-4);
    }
    phi.dispose();
    optimizer.dispose();
  });

  test('an ordinary variable, and alpha 1, do not notice', async () => {
    await tf.setBackend('cpu');
    const run = (optimizer: tf.Optimizer) => {
      const w = variable(start);
      for (let i = 0; i < 5; i++) descendOnce(optimizer, w);
      return Array.from(w.dataSync());
    };
    expect(run(adam(0.01, 0.9, 0.999, 1e-7, 'theta'))).toEqual(run(adam(0.01, 0.9, 0.999, 1e-7)));
  });

  test('the choice is saved with the optimizer, and a wrong one refused', () => {
    expect(SparseAdam.fromConfig<SparseAdam>(SparseAdam, adam(0.1, 0.9, 0.99, 1e-7, 'theta').getConfig()).moments).toBe('theta');
    expect(SparseMomentum.fromConfig<SparseMomentum>(SparseMomentum, momentum(0.1, 0.9, true, 'theta').getConfig()).moments).toBe('theta');
    expect(() => adam(0.1, 0.9, 0.99, 1e-7, 'weights' as never)).toThrow(
      "optimizers moments: expected 'phi' or 'theta', received \"weights\"",
    );
  });
});

test('gradients and variables of another size are refused before a kernel sees them', async () => {
  await tf.setBackend('cpu');
  const optimizer = momentum(0.1, 0.9);
  const w = tf.tidy(() => tf.variable(tf.zeros([3]), true, 'reused'));
  expect(() => optimizer.applyGradients({ reused: tf.ones([5]) })).toThrow('gradient of reused: expected [3], received [5]');
  descendOnce(optimizer, w);
  w.dispose();
  const larger = tf.tidy(() => tf.variable(tf.zeros([4000]), true, 'reused'));
  expect(() => descendOnce(optimizer, larger)).toThrow('optimizer state reused/momentum: expected [4000], received [3]');
  larger.dispose();
});

test('saved state of another shape is refused', async () => {
  await tf.setBackend('cpu');
  const w = variable([0, 0, 0]);
  const [a, b] = [momentum(0.1, 0.9), momentum(0.1, 0.9)];
  descendOnce(a, w);
  await b.setWeights(await a.getWeights());
  const other = variable([0, 0, 0, 0]);
  // And stays refused: the state is not lost to the first try.
  for (let i = 0; i < 2; i++)
    expect(() => descendOnce(b, other)).toThrow(/saved optimizer state .*momentum: expected \[4\], received \[3\]/);
});

test.each([
  ['names', ['a/w', 'b/w']],
  ['names that are numbers', ['1000001', '1000002']],
  ['one name twice', ['a/w', 'a/w_1']],
])('loaded state finds its variables again, whichever were trained first: %s', async (_, names) => {
  await tf.setBackend('cpu');
  const start = [
    [1, 2, 3],
    [4, 5, 6],
  ];
  const [a, b] = names.map((name, i) => tf.variable(tf.tensor1d(start[i]), true, name));
  const reset = () => [a, b].forEach((variable, i) => void variable.assign(tf.tensor1d(start[i])));
  const step = (optimizer: tf.Optimizer, ...trained: tf.Variable[]) =>
    optimizer.minimize(() => tf.addN(trained.map((variable) => tf.sum(tf.square(variable)))) as tf.Scalar, false, trained);
  const [first, second, third] = [0, 0, 0].map(() => momentum(0.01, 0.9));
  // Variables of numbers have their order alone.
  if (names[0] === 'a/w') step(first, b);
  step(first, a, b);
  const gone = tf.variable(tf.tensor1d([7]), true, `${names[0]}/gone`);
  step(first, gone);
  gone.dispose();
  const saved = await first.getWeights();
  expect(saved).toHaveLength(3);
  await second.setWeights(saved);
  await third.setWeights(saved);
  const after = [first, second].map((optimizer) => {
    reset();
    step(optimizer, a, b);
    return [[...a.dataSync()], [...b.dataSync()]];
  });
  expect(after[1]).toEqual(after[0]);
  if (names[0] === 'a/w') {
    // The other one is frozen meanwhile.
    reset();
    step(third, b);
    expect([...b.dataSync()]).toEqual(after[0][1]);
  }
  for (const each of [first, second, third, a, b]) each.dispose();
});

test('loaded state of two variables of one name goes by their order where both have other numbers now', async () => {
  await tf.setBackend('cpu');
  const pairOf = (names: string[]) => names.map((name, i) => tf.variable(tf.tensor1d([1 + i, 2, 3]), true, name));
  const step = (optimizer: tf.Optimizer, pair: tf.Variable[]) =>
    optimizer.minimize(() => tf.addN(pair.map((variable) => tf.sum(tf.square(variable)))) as tf.Scalar, false, pair);
  const [before, after] = [pairOf(['p/w', 'p/w_1']), pairOf(['p/w_2', 'p/w_3'])];
  const [first, second] = [momentum(0.01, 0.9), momentum(0.01, 0.9)];
  step(first, before);
  await second.setWeights(await first.getWeights());
  for (const [i, variable] of after.entries()) variable.assign(before[i]);
  step(first, before);
  step(second, after);
  expect(after.map((variable) => [...variable.dataSync()])).toEqual(before.map((variable) => [...variable.dataSync()]));
  for (const each of [first, second, ...before, ...after]) each.dispose();
});

test('two saves may be under way at once', async () => {
  await tf.setBackend('cpu');
  const w = variable([1, 2, 3]);
  const optimizer = adam(0.1);
  descendOnce(optimizer, w);
  const [first, second] = await Promise.all([optimizer.getWeights(), optimizer.getWeights()]);
  for (const { tensor } of [...first, ...second]) expect(tensor.isDisposed).toBe(false);
  const { numTensors } = tf.memory();
  await optimizer.getWeights();
  expect(tf.memory().numTensors).toBe(numTensors);
  optimizer.dispose();
  w.dispose();
});

function descendOnce(optimizer: tf.Optimizer, w: tf.Variable): void {
  optimizer.minimize(() => tf.sum(tf.square(w)) as tf.Scalar, false, [w]);
}
