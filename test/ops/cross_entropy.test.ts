import { expect, test } from 'vitest';
import { binaryCrossentropy, categoricalCrossentropy, sparseCategoricalCrossentropy } from '../../ts/ops/cross_entropy.js';
import { expectClose, onEachBackend, tf, tfl } from '../support/tf.js';

type Loss = (yTrue: tf.Tensor, yPred: tf.Tensor) => tf.Tensor;

const { categoricalCrossentropy: categorical, binaryCrossentropy: binary } = tfl.metrics;
/** As tfjs-layers has it, which does not export it (and takes no int32). */
const sparse: Loss = (yTrue, yPred) => {
  const epsilon = tf.backend().epsilon();
  const classes = yPred.shape[yPred.rank - 1];
  const oneHot = tf.oneHot(tf.cast(tf.floor(tf.cast(tf.reshape(yTrue, [-1]), 'float32')), 'int32'), classes);
  return categorical(tf.reshape(oneHot, yPred.shape), tf.clipByValue(yPred, epsilon, 1 - epsilon));
};

const softmax = (shape: number[], seed: number) => tf.softmax(tf.randomNormal(shape, 0, 2, 'float32', seed));
const sigmoid = (shape: number[], seed: number) => tf.sigmoid(tf.randomNormal(shape, 0, 2, 'float32', seed));

/** Loss of each sample, and its gradient with a factor of each sample's own. */
function expectSame(ours: Loss, theirs: Loss, yTrue: tf.Tensor, yPred: tf.Tensor) {
  const [expected, received] = [theirs, ours].map((loss) => {
    const value = loss(yTrue, yPred);
    const factors = tf.randomUniform(value.shape, -1, 1, 'float32', 5);
    const { grad } = tf.valueAndGrad((p: tf.Tensor) => tf.sum(tf.mul(loss(yTrue, p), factors)))(yPred);
    return { value, grad };
  });
  expect(received.value.shape).toEqual(expected.value.shape);
  expectClose(received.value.dataSync(), expected.value.dataSync());
  expect(received.grad.shape).toEqual(yPred.shape);
  expectClose(received.grad.dataSync(), expected.grad.dataSync());
}

onEachBackend('cross-entropies', () => {
  test.each<[string, Loss, Loss, () => [tf.Tensor, tf.Tensor]]>([
    ['one class of several', categoricalCrossentropy, categorical, () => [tf.oneHot([3, 0, 2, 2], 5), softmax([4, 5], 1)]],
    ['shares of classes', categoricalCrossentropy, categorical, () => [softmax([7, 3], 1), softmax([7, 3], 2)]],
    ['each step of a sequence', categoricalCrossentropy, categorical, () => [softmax([2, 3, 4], 1), softmax([2, 3, 4], 2)]],
    ['predictions that do not sum to 1', categoricalCrossentropy, categorical, () => [tf.oneHot([1, 0], 3), sigmoid([2, 3], 1)]],
    ['numbers of classes', sparseCategoricalCrossentropy, sparse, () => [tf.tensor1d([3, 0, 2]), softmax([3, 4], 1)]],
    ['numbers in a column', sparseCategoricalCrossentropy, sparse, () => [tf.tensor2d([3, 0, 2], [3, 1]), softmax([3, 4], 1)]],
    ['int32', sparseCategoricalCrossentropy, sparse, () => [tf.tensor1d([3, 0, 2], 'int32'), softmax([3, 4], 1)]],
    ['classes that there are not', sparseCategoricalCrossentropy, sparse, () => [tf.tensor1d([4, -1, 2.7]), softmax([3, 4], 1)]],
    ['yes or no', binaryCrossentropy, binary, () => [tf.tensor2d([1, 0, 1], [3, 1]), sigmoid([3, 1], 1)]],
    ['several of them', binaryCrossentropy, binary, () => [sigmoid([6, 4], 1), sigmoid([6, 4], 2)]],
    ['no sample', categoricalCrossentropy, categorical, () => [tf.zeros([0, 3]), tf.zeros([0, 3])]],
  ])('%s', (_, ours, theirs, args) => {
    tf.tidy(() => expectSame(ours, theirs, ...args()));
  });

  test('beyond ε and 1 − ε a prediction counts as that, and has no gradient', () => {
    tf.tidy(() => {
      const certain = () => tf.tensor2d([1, 0, 0, 0.25, 0.75, 0, 1, 1e-9, 1e-8], [3, 3]);
      expectSame(categoricalCrossentropy, categorical, tf.oneHot([1, 2, 0], 3), certain());
      expectSame(sparseCategoricalCrossentropy, sparse, tf.tensor1d([1, 2, 0]), certain());
      expectSame(binaryCrossentropy, binary, tf.oneHot([1, 2, 0], 3), certain());
    });
  });

  test('the gradient at p = ½, where that of tfjs is none of either side', () => {
    tf.tidy(() => {
      const gradient = tf.grad((p) => tf.sum(binaryCrossentropy(tf.tensor2d([1, 0, 0.5], [3, 1]), p)))(tf.fill([3, 1], 0.5));
      expectClose(gradient.dataSync(), [-2, 2, 0]);
    });
  });

  test('a NaN stays one', () => {
    tf.tidy(() => {
      const p = tf.tensor2d([Number.NaN, 0.5, 0.5, 0.5], [2, 2]);
      for (const loss of [categoricalCrossentropy, binaryCrossentropy]) {
        const [first, second] = loss(tf.oneHot([1, 0], 2), p).dataSync();
        expect([first, second]).toEqual([Number.NaN, expect.closeTo(Math.LN2, 5)]);
      }
    });
  });

  test('says which targets it wants', () => {
    tf.tidy(() => {
      const p = softmax([4, 3], 1);
      expect(() => categoricalCrossentropy(tf.zeros([4]), p)).toThrow('categoricalCrossentropy yTrue: expected [4, 3], received [4]');
      expect(() => binaryCrossentropy(tf.zeros([4, 1]), p)).toThrow('binaryCrossentropy yTrue: expected [4, 3], received [4, 1]');
      expect(() => sparseCategoricalCrossentropy(tf.zeros([4, 3]), p)).toThrow(
        'sparseCategoricalCrossentropy yTrue: expected [4], received [4, 3]',
      );
      expect(() => categoricalCrossentropy(tf.scalar(1), tf.scalar(1))).toThrow(
        'categoricalCrossentropy yPred: expected […, classes], received []',
      );
    });
  });
});
