// Kernels that train convolutional networks: what tfjs's cpu backend computes, on both backends.

import { afterEach, describe, expect, test, vi } from 'vitest';
import { trainingKernels } from '../../ts/ops/training_kernels.js';
import { Random } from '../../ts/pattern/random.js';
import * as conv from '../../ts/wasm/conv.js';
import { memory } from '../../ts/wasm/memory.js';
import { wholeNumbers } from '../support/cases.js';
import { BACKENDS, expectClose, onEachBackend, outcomeOf, tf, tfl } from '../support/tf.js';

const KERNELS = [
  tf.Conv2D,
  tf.FusedConv2D,
  tf.Conv2DBackpropInput,
  tf.Conv2DBackpropFilter,
  tf.DepthwiseConv2dNativeBackpropInput,
  tf.DepthwiseConv2dNativeBackpropFilter,
  tf.UnsortedSegmentSum,
  tf.MaxPoolGrad,
  tf.AvgPoolGrad,
];
const registered = () => BACKENDS.flatMap((backend) => KERNELS.map((name) => tf.getKernel(name, backend)));
const shipped = registered();
let undo = () => {};
afterEach(() => undo());

const random = new Random(11);
const whole = (shape: number[]) => tf.tensor(wholeNumbers(random, tf.util.sizeFromShape(shape)), shape);

type Pad = 'same' | 'valid' | number | [[number, number], [number, number], [number, number], [number, number]];
type Image = [number, number, number, number];

const call = (kernel: string, inputs: Record<string, tf.Tensor>, attrs: object) =>
  tf.engine().runKernel(kernel, inputs, attrs as tf.NamedAttrMap) as tf.Tensor;

/** The result by our kernels on this backend, and by tfjs's on cpu: numbers and shape, or what was thrown. */
async function both(backend: string, run: () => tf.Tensor): Promise<{ ours: unknown; theirs: unknown }> {
  undo();
  await tf.setBackend('cpu');
  const theirs = outcomeOf(run);
  await tf.setBackend(backend);
  undo = trainingKernels();
  return { ours: outcomeOf(run), theirs };
}

describe('registration', () => {
  test('is undone, silent, and the same when repeated', () => {
    const warn = vi.spyOn(console, 'warn');
    undo = trainingKernels();
    const ours = registered();
    ours.forEach((kernel, i) => {
      expect(kernel).toBeDefined();
      expect(kernel).not.toBe(shipped[i]);
    });
    expect(trainingKernels()).toBe(undo);
    expect(registered()).toEqual(ours);
    undo();
    expect(registered()).toEqual(shipped);
    undo();
    expect(registered()).toEqual(shipped);
    expect(tf.getKernel(tf.Conv2DBackpropFilter, 'wasm')).toBeUndefined();
    expect(warn).not.toHaveBeenCalled();
  });

  test("leaves another's kernel in its place, also where there was none", () => {
    for (const [name, backend] of [
      [tf.Conv2D, 'cpu'],
      [tf.Conv2DBackpropFilter, 'wasm'],
    ]) {
      const before = tf.getKernel(name, backend);
      undo = trainingKernels();
      const theirs = { ...tf.getKernel(name, backend) };
      tf.unregisterKernel(name, backend);
      tf.registerKernel(theirs);
      undo();
      expect(tf.getKernel(name, backend)).toBe(theirs);
      tf.unregisterKernel(name, backend);
      if (before) tf.registerKernel(before);
    }
    expect(registered()).toEqual(shipped);
  });
});

/** Images, kernels, strides, paddings; some windows are larger than the image, some kernels smaller than the stride. */
const CASES: { x: Image; kernel: [number, number]; filters: number; strides: number | [number, number]; pad: Pad }[] = [
  { x: [2, 7, 9, 3], kernel: [3, 3], filters: 5, strides: 1, pad: 'same' },
  { x: [1, 8, 8, 4], kernel: [5, 3], filters: 8, strides: 2, pad: 'valid' },
  { x: [3, 5, 6, 1], kernel: [7, 7], filters: 2, strides: 1, pad: 'same' },
  { x: [2, 9, 7, 5], kernel: [2, 3], filters: 7, strides: [3, 2], pad: 'same' },
  { x: [2, 6, 6, 2], kernel: [1, 1], filters: 9, strides: 1, pad: 'valid' },
  { x: [2, 7, 7, 2], kernel: [1, 1], filters: 3, strides: 3, pad: 'valid' },
  { x: [2, 1, 12, 6], kernel: [1, 5], filters: 4, strides: 1, pad: 'same' },
  { x: [2, 6, 8, 3], kernel: [3, 3], filters: 4, strides: 1, pad: 2 },
  {
    x: [2, 6, 8, 3],
    kernel: [3, 2],
    filters: 4,
    strides: 2,
    pad: [
      [0, 0],
      [1, 2],
      [0, 1],
      [0, 0],
    ],
  },
  // From 16 channels and 32 filters on ours goes forward on wasm, too.
  { x: [3, 9, 8, 16], kernel: [3, 3], filters: 40, strides: 1, pad: 'same' },
  { x: [2, 7, 9, 17], kernel: [2, 3], filters: 33, strides: [2, 3], pad: 'same' },
  { x: [1, 8, 8, 32], kernel: [5, 5], filters: 32, strides: 2, pad: 'valid' },
  { x: [1, 4, 6, 16], kernel: [3, 3], filters: 32, strides: 1, pad: 3 },
];
const names = CASES.map(
  (each) => [`${each.x} by ${each.kernel}, ${each.filters} filters, strides ${each.strides}, pad ${each.pad}`, each] as const,
);

const outShape = ({ x, kernel, filters, strides, pad }: (typeof CASES)[number], dilations = 1) =>
  tf.backend_util.computeConv2DInfo(x, [...kernel, x[3], filters], strides, dilations, pad).outShape;

onEachBackend('trainingKernels', (backend) => {
  test.each(names)('convolution of %s', async (_, each) => {
    const { x: shape, kernel, filters, strides, pad } = each;
    const filterShape = [...kernel, shape[3], filters];
    const [x, filter, dy] = [whole(shape), whole(filterShape), whole(outShape(each))];
    const attrs = { strides, pad, dataFormat: 'NHWC' };
    for (const run of [
      () => call(tf.Conv2D, { x, filter }, { ...attrs, dilations: 1 }),
      () => call(tf.Conv2DBackpropInput, { dy, filter }, { ...attrs, inputShape: shape }),
      () => call(tf.Conv2DBackpropFilter, { x, dy }, { ...attrs, filterShape }),
    ]) {
      const { ours, theirs } = await both(backend, run);
      expect(ours).toEqual(theirs);
    }
    tf.dispose([x, filter, dy]);
  });

  test.each([1, 2, 3])('dilated by %i, forward', async (dilations) => {
    for (const pad of ['same', 'valid'] as const) {
      const [x, filter] = [whole([2, 9, 10, 16]) as tf.Tensor4D, whole([3, 2, 16, 33]) as tf.Tensor4D];
      const { ours, theirs } = await both(backend, () => tf.conv2d(x, filter, 1, pad, 'NHWC', dilations));
      expect(ours).toEqual(theirs);
      tf.dispose([x, filter]);
    }
  });

  test.each(names)('depthwise gradients of %s', async (_, { x: shape, kernel, strides, pad }) => {
    for (const multiplier of [1, 2, 3]) {
      const filterShape = [...kernel, shape[3], multiplier] as Image;
      const { outShape } = tf.backend_util.computeConv2DInfo(shape, filterShape, strides, 1, pad, undefined, true);
      const [x, filter, dy] = [whole(shape), whole(filterShape), whole(outShape)];
      const attrs = { strides, pad, dilations: 1 };
      for (const run of [
        () => call(tf.DepthwiseConv2dNativeBackpropInput, { dy, filter }, { ...attrs, inputShape: shape }),
        () => call(tf.DepthwiseConv2dNativeBackpropFilter, { x, dy }, { ...attrs, filterShape }),
      ]) {
        const { ours, theirs } = await both(backend, run);
        expect(ours).toEqual(theirs);
      }
      tf.dispose([x, filter, dy]);
    }
  });

  test.each(['linear', 'relu', 'relu6', 'elu', 'prelu', 'leakyrelu', 'sigmoid'] as const)('tf.fused.conv2d with %s', async (activation) => {
    for (const withBias of [false, true]) {
      const [x, filter] = [tf.tidy(() => tf.mul(whole([2, 6, 7, 16]), 0.125)) as tf.Tensor4D, whole([3, 3, 16, 33]) as tf.Tensor4D];
      const [bias, alpha] = [whole([33]), whole([33])];
      const given = {
        x,
        filter,
        strides: 1,
        pad: 'same' as const,
        activation,
        ...(withBias ? { bias } : {}),
        ...(activation === 'prelu' ? { preluActivationWeights: alpha } : {}),
        ...(activation === 'leakyrelu' ? { leakyreluAlpha: 0.25 } : {}),
      };
      const { ours, theirs } = await both(backend, () => tf.fused.conv2d(given));
      const [received, expected] = [ours, theirs] as { shape: number[]; values: number[] }[];
      expect(received.shape).toEqual(expected.shape);
      expectClose(received.values, expected.values, 1e-6);
      tf.dispose([x, filter, bias, alpha]);
    }
  });

  test.each([
    [[2, 6, 6, 3], 2, 2, 'valid'],
    [[2, 7, 5, 4], 3, 2, 'same'],
    [[1, 9, 8, 1], [2, 3], [3, 1], 'same'],
    [[2, 5, 5, 2], 5, 5, 'valid'],
    [[2, 6, 6, 2], 3, 1, 1],
  ] as [Image, number | [number, number], number | [number, number], 'same' | 'valid' | number][])(
    'pooling gradients of %j by %j, strides %j, pad %s',
    async (shape, filterSize, strides, pad) => {
      // Few values, so that there are equal ones in a window.
      const input = whole(shape) as tf.Tensor4D;
      const { outShape } = tf.backend_util.computePool2DInfo(shape, filterSize, strides, 1, pad);
      const dy = whole(outShape);
      const attrs = { filterSize, strides, pad };
      const max = await both(backend, () =>
        call(tf.MaxPoolGrad, { dy, input, output: tf.maxPool(input, filterSize, strides, pad) }, attrs),
      );
      expect(max.ours).toEqual(max.theirs);
      const average = await both(backend, () => call(tf.AvgPoolGrad, { dy, input }, attrs));
      const [received, expected] = [average.ours, average.theirs] as { shape: number[]; values: number[] }[];
      expect(received.shape).toEqual(expected.shape);
      expectClose(received.values, expected.values, 1e-6);
      tf.dispose([input, dy]);
    },
  );

  test('tf.unsortedSegmentSum', async () => {
    const ids = tf.tensor1d([3, 0, 3, -1, 5, 1], 'int32');
    for (const shape of [[6], [6, 5], [6, 2, 3]]) {
      const x = whole(shape);
      const { ours, theirs } = await both(backend, () => tf.unsortedSegmentSum(x, ids, 5));
      expect(ours).toEqual(theirs);
      x.dispose();
    }
    ids.dispose();
  });

  test('gradients of a lookup', async () => {
    const [x, indices, dy] = [whole([5, 3]), tf.tensor2d([[4, 1, 4]], undefined, 'int32'), whole([1, 3, 3])];
    for (const axis of [0, 1]) {
      const picked = axis === 0 ? indices : tf.tensor2d([[0, 2]], undefined, 'int32');
      const weight = axis === 0 ? dy : whole([5, 1, 2]);
      const { ours, theirs } = await both(backend, () => tf.grad((x: tf.Tensor) => tf.sum(tf.mul(weight, tf.gather(x, picked, axis))))(x));
      expect(ours).toEqual(theirs);
      if (axis === 1) tf.dispose([picked, weight]);
    }
    tf.dispose([x, indices, dy]);
  });

  test('large batches go in groups', async () => {
    const [x, filter] = [whole([40, 60, 60, 3]) as tf.Tensor4D, whole([2, 1, 3, 1]) as tf.Tensor4D];
    const loss = (x: tf.Tensor4D, filter: tf.Tensor4D) => tf.sum(tf.mul(tf.conv2d(x, filter, 1, 'same'), 2));
    for (const i of [0, 1]) {
      const { ours, theirs } = await both(backend, () => tf.grads(loss as (...args: tf.Tensor[]) => tf.Scalar)([x, filter])[i]);
      expect(ours).toEqual(theirs);
    }
    tf.dispose([x, filter]);
  });

  test('mismatched shapes are refused as by tfjs', async () => {
    const [x, filter, bias] = [whole([1, 5, 5, 3]) as tf.Tensor4D, whole([3, 3, 2, 4]) as tf.Tensor4D, whole([3])];
    const fitting = whole([3, 3, 3, 4]) as tf.Tensor4D;
    for (const run of [
      () => tf.conv2d(x, filter, 1, 'same'),
      () => tf.conv2d(x, fitting, 1, [1, 1] as unknown as 'same'),
      () => tf.conv2dTranspose(x, filter, [1, 10, 10, 3], 2, 'same'),
      () => tf.fused.conv2d({ x, filter: fitting, strides: 1, pad: 'same', bias }),
    ]) {
      const { ours, theirs } = await both(backend, run);
      expect(typeof theirs).toBe('string');
      expect(ours).toEqual(theirs);
    }
    tf.dispose([x, filter, fitting, bias]);
  });

  test('what ours does not do is left to tfjs', () => {
    tf.tidy(() => {
      const [x, filter] = [whole([1, 3, 5, 5]) as tf.Tensor4D, whole([3, 3, 3, 2]) as tf.Tensor4D];
      const [ids, last] = [tf.tensor1d([0], 'int32'), whole([3, 3, 5, 2]) as tf.Tensor4D];
      const outcome = () =>
        [
          () => tf.conv2d(x, filter, 1, 'same', 'NCHW'),
          () => tf.fused.conv2d({ x, filter: last, strides: 1, pad: 'same', activation: 'tanh' as 'relu' }),
          () => tf.unsortedSegmentSum(tf.tensor2d([[1, 2]], undefined, 'int32'), ids, 2),
          () => tf.unsortedSegmentSum(tf.tensor2d([[1, 2]]), tf.tensor2d([[0, 1]], undefined, 'int32') as unknown as tf.Tensor1D, 2),
        ].map((run) => {
          try {
            const { shape, dtype } = run();
            return { shape, dtype };
          } catch (error) {
            return (error as Error).message;
          }
        });
      const theirs = outcome();
      undo = trainingKernels();
      expect(outcome()).toEqual(theirs);
    });
  });

  test('leaves nothing behind, in tfjs or in our memory', () => {
    undo = trainingKernels();
    const step = () =>
      tf.tidy(() => {
        const [x, filter, depthwise] = [whole([2, 8, 8, 3]), whole([3, 3, 3, 4]), whole([3, 3, 4, 2])] as tf.Tensor4D[];
        const loss = (x: tf.Tensor4D, filter: tf.Tensor4D, depthwise: tf.Tensor4D) =>
          tf.sum(
            tf.maxPool(
              tf.depthwiseConv2d(tf.fused.conv2d({ x, filter, strides: 1, pad: 'same', activation: 'relu' }), depthwise, 1, 'same'),
              2,
              2,
              'same',
            ),
          );
        tf.grads(loss as (...args: tf.Tensor[]) => tf.Scalar)([x, filter, depthwise]);
      });
    step();
    const before = [tf.memory().numDataBuffers, tf.memory().numTensors, memory().liveBytes];
    for (let i = 0; i < 20; i++) step();
    expect([tf.memory().numDataBuffers, tf.memory().numTensors, memory().liveBytes]).toEqual(before);
  });
});

describe('models', () => {
  /** Losses and weights after some steps. */
  async function train(backend: string, build: () => tfl.LayersModel, x: () => tf.Tensor) {
    await tf.setBackend(backend);
    const model = build();
    const xs = x();
    const ys = tf.tidy(() => tf.randomUniform([xs.shape[0], ...(model.outputs[0].shape.slice(1) as number[])], 0, 1, 'float32', 5));
    const optimizer = tf.train.adam(0.003);
    model.compile({ optimizer, loss: 'meanSquaredError' });
    const { history } = await model.fit(xs, ys, { epochs: 3, batchSize: 8, shuffle: false, verbose: 0 });
    model.dispose();
    optimizer.dispose();
    tf.dispose([xs, ys]);
    return history['loss'] as number[];
  }

  const init = (seed: number) => tfl.initializers.glorotUniform({ seed });
  const images = () => tf.randomNormal([24, 12, 12, 3], 0, 1, 'float32', 1);
  const { layers } = tfl;
  test.each<[string, () => tfl.LayersModel, () => tf.Tensor]>([
    [
      'images',
      () =>
        tfl.sequential({
          layers: [
            layers.conv2d({
              filters: 8,
              kernelSize: 3,
              padding: 'same',
              activation: 'relu',
              inputShape: [12, 12, 3],
              kernelInitializer: init(1),
            }),
            layers.batchNormalization(),
            layers.maxPooling2d({ poolSize: 2 }),
            layers.depthwiseConv2d({ kernelSize: 3, depthMultiplier: 2, padding: 'same', depthwiseInitializer: init(2) }),
            layers.separableConv2d({
              filters: 8,
              kernelSize: 3,
              activation: 'elu',
              depthwiseInitializer: init(3),
              pointwiseInitializer: init(4),
            }),
            layers.averagePooling2d({ poolSize: 2, strides: 1, padding: 'same' }),
            layers.conv2dTranspose({ filters: 4, kernelSize: 3, strides: 2, padding: 'same', kernelInitializer: init(5) }),
            // Not the nearest neighbours: their gradient on tfjs's cpu backend is wrong from the second image on.
            layers.upSampling2d({ size: [2, 2], interpolation: 'bilinear' }),
            layers.zeroPadding2d({}),
            layers.conv2d({ filters: 3, kernelSize: 5, strides: 2, activation: 'relu6', kernelInitializer: init(8) }),
            layers.globalAveragePooling2d({}),
            layers.dropout({ rate: 0.25, seed: 4 }),
            layers.dense({ units: 3, kernelInitializer: init(6) }),
          ],
        }),
      images,
    ],
    [
      'words',
      () =>
        tfl.sequential({
          layers: [
            layers.embedding({ inputDim: 20, outputDim: 6, inputLength: 10, embeddingsInitializer: init(1) }),
            layers.conv1d({ filters: 8, kernelSize: 3, activation: 'relu', padding: 'same', kernelInitializer: init(2) }),
            layers.maxPooling1d({ poolSize: 2 }),
            layers.conv1d({ filters: 5, kernelSize: 2, kernelInitializer: init(3) }),
            layers.globalMaxPooling1d(),
            layers.dense({ units: 2, kernelInitializer: init(4) }),
          ],
        }),
      () => tf.tidy(() => tf.floor(tf.randomUniform([24, 10], 0, 20, 'float32', 3))),
    ],
  ])('of %s train on wasm as on cpu', async (_, build, x) => {
    const theirs = await train('cpu', build, x);
    undo = trainingKernels();
    for (const backend of BACKENDS) expectClose(await train(backend, build, x), theirs, 1e-4);
  });
});

describe.each(BACKENDS)('what tfjs lets through, on %s', (backend) => {
  test.each([-1, 0])('max pooling and its gradient with a padding of %d', async (pad) => {
    const x = whole([2, 5, 6, 3]) as tf.Tensor4D;
    const { ours, theirs } = await both(backend, () => tf.grad((x) => tf.sum(tf.maxPool(x as tf.Tensor4D, 2, 1, pad)))(x));
    if (backend === 'cpu' || pad === 0) expect(ours).toEqual(theirs);
    x.dispose();
  });

  test('max pooling goes back past NaN', async () => {
    const x = tf.tensor4d([Number.NaN, 1, 2, 3, 3, 1, 2, Number.NaN], [2, 2, 2, 1]);
    const dy = tf.tensor4d([5, 7], [2, 1, 1, 1]);
    const { ours, theirs } = await both(backend, () =>
      call(tf.MaxPoolGrad, { dy, input: x, output: dy }, { filterSize: 2, strides: 2, pad: 'valid' }),
    );
    expect(ours).toEqual(theirs);
    tf.dispose([x, dy]);
  });
});

test('a kernel that fails leaves no tensor behind', async () => {
  await tf.setBackend('wasm');
  undo = trainingKernels();
  const [x, filter] = [tf.zeros<tf.Rank.R4>([1, 4, 4, 16]), tf.zeros<tf.Rank.R4>([3, 3, 16, 32])];
  const before = tf.engine().backend.numDataIds();
  const spy = vi.spyOn(conv, 'convForward').mockImplementation(() => {
    throw new RangeError('no room');
  });
  for (let i = 0; i < 3; i++) expect(() => tf.tidy(() => tf.conv2d(x, filter, 1, 'same'))).toThrow('no room');
  spy.mockRestore();
  expect(tf.engine().backend.numDataIds()).toBe(before);
  tf.dispose([x, filter]);
});
