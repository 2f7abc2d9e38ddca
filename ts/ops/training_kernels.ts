// What tfjs's wasm backend lacks to train networks, or does slowly, for whoever asks for it.

import * as tf from '@tensorflow/tfjs-core';
import { conv2d, conv2dBackpropFilter, conv2dBackpropInput, depthwiseBackpropFilter, depthwiseBackpropInput } from './convolution.js';
import { avgPoolGrad, maxPoolGrad } from './pool_gradients.js';
import { replacing } from './replaced.js';
import { unsortedSegmentSum } from './segment_sum.js';

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
