// Where the weights of a network are, as a small picture: one square for each pixel, or for each weight of a convolution.

import type { layers } from '@tensorflow/tfjs-layers';
import { connectionsOf } from '../ts/cli/weights.js';
import { isSparse, type SparseLayer } from '../ts/topology/sparse_layer.js';
import { SIDE } from './mnist.js';

/** Shade of a weight that does not exist. */
const ABSENT = 0.12;

export interface Picture {
  caption: string;
  /** What the squares say. */
  range: string;
  /** For those who hear the page. */
  label: string;
  width: number;
  /** Shade of each square, 0 to 1, row by row. */
  shades: number[];
}

/** Of the first of these layers that has one: of a convolution of several channels its kernels, of a dense layer the connections of each pixel. */
export function pictureOf(all: layers.Layer[]): Picture | undefined {
  for (const layer of all) {
    if (!isSparse(layer)) continue;
    if (layer.kernelShape.length === 2) return pixels(connectionsOf(layer) as number[]);
    if (layer.kernelShape[2] > 1) return kernels(layer);
  }
  return undefined;
}

function pixels(counts: number[]): Picture {
  const most = Math.max(1, ...counts);
  const inner = (i: number) => i % SIDE >= 8 && i % SIDE < 20 && i >= 8 * SIDE && i < 20 * SIDE;
  const mean = (keep: (i: number) => boolean) => {
    const kept = counts.filter((_, i) => keep(i));
    return (kept.reduce((a, b) => a + b, 0) / kept.length).toFixed(1);
  };
  return {
    caption: 'Connections of each pixel',
    range: `(0 to ${most})`,
    label: `${mean(inner)} connections a pixel in the middle, ${mean((i) => !inner(i))} around it, ${most} at most`,
    width: SIDE,
    shades: counts.map((count) => count / most),
  };
}

/** Windows of all channels, downwards, and all filters, across; what exists stands out. */
function kernels({ name, kernelShape, pattern }: SparseLayer): Picture {
  const [height, width, channels, filters] = kernelShape;
  // Windows have a line of nothing between them.
  const pictureWidth = filters * (width + 1) - 1;
  const at = (row: number, filter: number) => {
    const [place, channel] = [Math.floor(row / channels), row % channels];
    const [y, x] = [channel * (height + 1) + Math.floor(place / width), filter * (width + 1) + (place % width)];
    return y * pictureWidth + x;
  };
  const shades = new Array<number>((channels * (height + 1) - 1) * pictureWidth).fill(0);
  for (let row = 0; row < pattern.rows; row++) for (let filter = 0; filter < filters; filter++) shades[at(row, filter)] = ABSENT;
  let count = 0;
  pattern.forEach((_, row, filter, inA) => {
    if (!inA) return;
    shades[at(row, filter)] = 1;
    count++;
  });
  return {
    caption: `Weights of ${name}`,
    range: `(${width}×${height} for each of ${channels} channels, down, and ${filters} filters, across)`,
    label: `${count} of ${pattern.rows * filters} weights of ${name}, ${(count / (channels * filters)).toFixed(1)} of ${width * height} in a window`,
    width: pictureWidth,
    shades,
  };
}
