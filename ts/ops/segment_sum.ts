// The gradient of a lookup by rows, `tf.gather` and with it `tf.layers.embedding`: sums of the rows that name the same one.

import * as tf from '@tensorflow/tfjs-core';
import type { OpenBridge } from './kernel.js';
import { type Call, written } from './replaced.js';

/**
 * `tf.unsortedSegmentSum` of x `[count, …]` by `segmentIds [count]`: `[numSegments, …]`, or nothing where the kernel before shall answer. Rows of segments
 * that do not exist count nowhere. O(x), where tfjs's cpu backend goes over all of x for each segment.
 */
export function unsortedSegmentSum<B extends tf.KernelBackend>(call: Call, bridge: OpenBridge<B>): tf.TensorInfo | undefined {
  const { x, segmentIds } = call.inputs as Record<'x' | 'segmentIds', tf.TensorInfo>;
  const { numSegments } = call.attrs as unknown as { numSegments: number };
  const [count, ...row] = x.shape;
  if (x.dtype !== 'float32' || segmentIds.dtype !== 'int32' || !tf.util.arraysEqual(segmentIds.shape, [count])) return;
  const size = tf.util.sizeFromShape(row);
  return written(bridge, call.backend as B, [numSegments, ...row], [x, segmentIds], (sums, x, ids) => {
    sums.fill(0);
    for (let i = 0; i < count; i++) {
      const id = ids[i];
      if (id < 0 || id >= numSegments) continue;
      for (let j = 0, to = id * size, from = i * size; j < size; j++) sums[to++] += x[from++];
    }
  });
}
