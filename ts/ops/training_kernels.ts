// What tfjs's wasm backend lacks to train networks, or does slowly, for whoever asks for it.

import * as tf from '@tensorflow/tfjs-core';
import { conv2d, conv2dBackpropFilter, conv2dBackpropInput, depthwiseBackpropFilter, depthwiseBackpropInput } from './convolution.js';
import { avgPoolGrad, maxPoolGrad } from './pool_gradients.js';
import { replacing } from './replaced.js';
import { unsortedSegmentSum } from './segment_sum.js';

/**
 * Gives tfjs what its wasm backend (4.22) lacks to train convolutional networks and embeddings, or does slowly, until the function that it returns is
 * called: then `model.fit` trains plain `tf.layers` models with `conv1d`, `conv2d`, `conv2dTranspose`, `separableConv2d`, `depthwiseConv2d`, `embedding` and
 * pooling on `wasm`. {@link fastDense} includes it.
 *
 * | kernel | on wasm as shipped | with this |
 * |---|---|---|
 * | `Conv2DBackpropFilter` | missing | about 80 % of the multiply-add peak from 64 channels on |
 * | `Conv2DBackpropInput` | scalar | 15 times as fast from 64 channels on |
 * | `Conv2D`, `FusedConv2D` | XNNPACK | from 16 channels and 32 filters on ours: 1 to 2 times as fast, and with any activation |
 * | `DepthwiseConv2dNativeBackpropFilter`, `…Input` | missing | any multiplier; tfjs itself refuses gradients of dilated ones |
 * | `UnsortedSegmentSum` (lookups going back) | missing | one pass over the rows |
 * | `MaxPoolGrad`, `AvgPoolGrad` | as slow as a convolution; no gradient where all of a window is negative | 10 times as fast |
 *
 * On `cpu` the same kernels take the place of tfjs's plain loops. Shapes, errors and gradients stay tfjs's; results differ in rounding only, and where tfjs
 * is wrong: its wasm backend in `MaxPoolGrad` (any window without a positive number: **such networks train on wrong gradients without this**) and in
 * `tf.conv2d` by a kernel smaller than its stride with padding 'same'; its cpu backend in `AvgPoolGrad` with a `dimRoundingMode`. Infinite weights at the
 * edges give NaN. Not mended: `ResizeNearestNeighborGrad` (`upSampling2d` with 'nearest'), which is wrong in tfjs for batches above 1; take 'bilinear'. Other dtypes
 * than float32 and `dataFormat: 'channelsFirst'` are left to the kernel that was there before; where there was none, tfjs says so as before. Of `tf.conv2d` with
 * dilations tfjs has no gradient.
 *
 * Calling it again changes nothing, except that it takes in a backend imported since. Throws where neither backend is there, and in a browser before
 * `ready()`. Images pass through this package's memory (`memory()`) in groups of 1 MB, or one by one if larger.
 *
 * ```js
 * import '@tensorflow/tfjs-backend-wasm';
 * import { trainingKernels } from 'tfjs-sparse';
 * const undo = trainingKernels();
 * await model.fit(xs, ys);
 * undo();
 * ```
 */
export const trainingKernels: () => () => void = replacing('trainingKernels', [
  [tf.Conv2D, conv2d],
  [tf.FusedConv2D, conv2d],
  [tf.Conv2DBackpropInput, conv2dBackpropInput],
  [tf.Conv2DBackpropFilter, conv2dBackpropFilter],
  [tf.DepthwiseConv2dNativeBackpropInput, depthwiseBackpropInput],
  [tf.DepthwiseConv2dNativeBackpropFilter, depthwiseBackpropFilter],
  [tf.UnsortedSegmentSum, unsortedSegmentSum],
  [tf.MaxPoolGrad, maxPoolGrad],
  [tf.AvgPoolGrad, avgPoolGrad],
]);
