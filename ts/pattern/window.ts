// How the window of a convolution lies over an image.

/** Rows, then columns. */
export type Pair = readonly [number, number];

/** What a layer says of its convolution, whatever the size of the image. */
export interface WindowArgs {
  readonly kernelSize: Pair;
  readonly strides: Pair;
  readonly padding: 'same' | 'valid';
  readonly dilationRate: Pair;
}

/**
 * A convolution of one image `[height, width, channels]` to `[outHeight, outWidth, filters]`: output `i` sees the inputs `i·stride + tap·dilation − before`
 * in each dimension, `before` being `top` and `left`. The order of the fields is that of the crate's `Window`.
 */
export interface Window {
  readonly height: number;
  readonly width: number;
  readonly channels: number;
  readonly outHeight: number;
  readonly outWidth: number;
  readonly filters: number;
  readonly kernelHeight: number;
  readonly kernelWidth: number;
  readonly strideHeight: number;
  readonly strideWidth: number;
  readonly dilationHeight: number;
  readonly dilationWidth: number;
  readonly top: number;
  readonly left: number;
}

/** Numbers in an image. */
export const inputSize = ({ height, width, channels }: Window): number => height * width * channels;
/** Numbers in what becomes of it. */
export const outputSize = ({ outHeight, outWidth, filters }: Window): number => outHeight * outWidth * filters;

/** Its numbers, as the crate takes them. */
export function windowNumbers(w: Window): Uint32Array {
  return Uint32Array.of(
    w.height,
    w.width,
    w.channels,
    w.outHeight,
    w.outWidth,
    w.filters,
    w.kernelHeight,
    w.kernelWidth,
    w.strideHeight,
    w.strideWidth,
    w.dilationHeight,
    w.dilationWidth,
    w.top,
    w.left,
  );
}

/** The window of a layer over images of a size. With 'same' the odd row or column of padding goes to the bottom or right, as in tfjs. */
export function windowOver(
  { kernelSize, strides, padding, dilationRate }: WindowArgs,
  image: Pair,
  channels: number,
  filters: number,
): Window {
  const axes = [0, 1].map((i) => axis(image[i], kernelSize[i], strides[i], dilationRate[i], padding));
  const [rows, cols] = axes;
  return {
    height: image[0],
    width: image[1],
    channels,
    outHeight: rows.output,
    outWidth: cols.output,
    filters,
    kernelHeight: kernelSize[0],
    kernelWidth: kernelSize[1],
    strideHeight: strides[0],
    strideWidth: strides[1],
    dilationHeight: dilationRate[0],
    dilationWidth: dilationRate[1],
    top: rows.before,
    left: cols.before,
  };
}

/** Outputs along one dimension; 0 where a 'valid' window is larger than the image. */
export function outputLength(input: number, kernel: number, stride: number, dilation: number, padding: 'same' | 'valid'): number {
  const reach = (kernel - 1) * dilation + 1;
  return padding === 'same' ? Math.ceil(input / stride) : Math.max(0, Math.ceil((input - reach + 1) / stride));
}

function axis(input: number, kernel: number, stride: number, dilation: number, padding: 'same' | 'valid') {
  const output = outputLength(input, kernel, stride, dilation, padding);
  const reach = (kernel - 1) * dilation + 1;
  const before = padding === 'same' ? Math.floor(Math.max(0, (output - 1) * stride + reach - input) / 2) : 0;
  return { output, before };
}
