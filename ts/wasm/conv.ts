// Dense and depthwise convolutions, and max pooling, as calls, on typed arrays of tfjs's layout `[batch, height, width, channels]`. Images go through working memory in
// groups: whole batches would push everything else out of the caches, and stay.

import * as rust from '../../wasm/kernels.js';
import { inputSize, outputSize, type Window, windowNumbers } from '../pattern/window.js';
import { carve, floats } from './memory.js';

/** Numbers of images and outputs in a group: 1 MB. */
const GROUP = 2 ** 18;

const weightsSize = (w: Window): number => w.kernelHeight * w.kernelWidth * w.channels * w.filters;

/** Images of a full group. */
export const imagesTogether = (window: Window): number => Math.max(1, Math.floor(GROUP / (inputSize(window) + outputSize(window))));

/** Runs over a batch group by group, at least once. */
function eachGroup(
  window: Window,
  batch: number,
  others: number[],
  run: (first: number, count: number, atInput: number, atOutput: number, rest: number[]) => void,
): void {
  const [input, output] = [inputSize(window), outputSize(window)];
  const most = Math.min(Math.max(1, batch), imagesTogether(window));
  const [atInput, atOutput, ...rest] = carve(most * input, most * output, ...others);
  let first = 0;
  do {
    const count = Math.min(most, batch - first);
    run(first, count, atInput, atOutput, rest);
    first += count;
  } while (first < batch);
}

/** Copies a part of an array that holds `size` numbers per image. */
function copyImages(at: number, values: Float32Array, size: number, first: number, count: number): void {
  floats(at, count * size).set(values.subarray(first * size, (first + count) * size));
}

/** `y [batch, output]` = act(x ∗ w + bias), with the kernel `w [kernel, channels, filters]`. */
export function convForward(
  window: Window,
  batch: number,
  x: Float32Array,
  w: Float32Array,
  bias: Float32Array | undefined,
  relu: boolean,
  y: Float32Array,
): void {
  const [numbers, input, output] = [windowNumbers(window), inputSize(window), outputSize(window)];
  eachGroup(window, batch, [w.length, window.filters], (first, count, atX, atY, [atW, atBias]) => {
    if (first === 0) {
      floats(atW, w.length).set(w);
      if (bias) floats(atBias, bias.length).set(bias);
    }
    copyImages(atX, x, input, first, count);
    rust.convForward(numbers, count, atX, atW, bias ? atBias : 0, relu, atY);
    y.set(floats(atY, count * output), first * output);
  });
}

/** The gradient of the images, `dx [batch, input]`. */
export function convInputGradient(window: Window, batch: number, dy: Float32Array, w: Float32Array, dx: Float32Array): void {
  inputGradient(rust.convInputGradient, window, batch, dy, w, dx);
}

/** As {@link convInputGradient} of a depthwise convolution, `w [kernel, channels, filters / channels]`. */
export function depthwiseInputGradient(window: Window, batch: number, dy: Float32Array, w: Float32Array, dx: Float32Array): void {
  inputGradient(rust.depthwiseInputGradient, window, batch, dy, w, dx);
}

function inputGradient(
  kernel: typeof rust.convInputGradient,
  window: Window,
  batch: number,
  dy: Float32Array,
  w: Float32Array,
  dx: Float32Array,
): void {
  const [numbers, input, output] = [windowNumbers(window), inputSize(window), outputSize(window)];
  eachGroup(window, batch, [w.length], (first, count, atDx, atDy, [atW]) => {
    if (first === 0) floats(atW, w.length).set(w);
    copyImages(atDy, dy, output, first, count);
    kernel(numbers, count, atDy, atW, atDx);
    dx.set(floats(atDx, count * input), first * input);
  });
}

/** The gradient of the images of max pooling, `dx [batch, input]`, for images x and `dy [batch, output]`. */
export function maxPoolGradient(window: Window, batch: number, x: Float32Array, dy: Float32Array, dx: Float32Array): void {
  const [numbers, input, output] = [windowNumbers(window), inputSize(window), outputSize(window)];
  eachGroup(window, batch, [Math.max(GROUP, input)], (first, count, atX, atDy, [atDx]) => {
    copyImages(atX, x, input, first, count);
    copyImages(atDy, dy, output, first, count);
    rust.maxPoolGradient(numbers, count, atX, atDy, atDx);
    dx.set(floats(atDx, count * input), first * input);
  });
}

/** The gradient of the kernel, `[kernelHeight·kernelWidth·channels·filters]`. A view. */
export function convFilterGradient(window: Window, batch: number, x: Float32Array, dy: Float32Array): Float32Array {
  return filterGradient(rust.convFilterGradient, weightsSize(window), window, batch, x, dy);
}

/** As {@link convFilterGradient} of a depthwise convolution, `[kernelHeight·kernelWidth·filters]`. A view. */
export function depthwiseFilterGradient(window: Window, batch: number, x: Float32Array, dy: Float32Array): Float32Array {
  const size = window.kernelHeight * window.kernelWidth * window.filters;
  return filterGradient(rust.depthwiseFilterGradient, size, window, batch, x, dy);
}

function filterGradient(
  kernel: typeof rust.convFilterGradient,
  size: number,
  window: Window,
  batch: number,
  x: Float32Array,
  dy: Float32Array,
): Float32Array {
  const [numbers, input, output] = [windowNumbers(window), inputSize(window), outputSize(window)];
  let atResult = 0;
  eachGroup(window, batch, [size], (first, count, atX, atDy, [atDw]) => {
    copyImages(atX, x, input, first, count);
    copyImages(atDy, dy, output, first, count);
    kernel(numbers, count, atX, atDy, first > 0, atDw);
    atResult = atDw;
  });
  return floats(atResult, size);
}
