// Convolutions over small images, and the naive truth about them.

import { type Window, windowOver } from '../../ts/pattern/window.js';

export const KERNELS = [1, 2, 3, 5, 7];
export const STRIDES = [1, 2, 3];
export const DILATIONS = [1, 2];

/** Every kernel with every stride, dilation and padding, over images of odd sizes, some smaller than the window; channels off the lane width. */
export function* windows(): Generator<Window> {
  const images = [
    [7, 9],
    [6, 5],
    [1, 17],
    [8, 8],
  ] as const;
  const features = [
    [1, 3],
    [3, 5],
    [5, 18],
    [4, 2],
  ];
  let turn = 0;
  for (const kernel of KERNELS) {
    for (const stride of STRIDES) {
      for (const dilation of DILATIONS) {
        for (const padding of ['same', 'valid'] as const) {
          const image = images[turn % images.length];
          const [channels, filters] = features[turn++ % features.length];
          const args = { kernelSize: [kernel, kernel], strides: [stride, stride], padding, dilationRate: [dilation, dilation] } as const;
          const window = windowOver(args, image, channels, filters);
          // Windows larger than the image are tested with 'same'.
          yield window.outHeight * window.outWidth > 0 ? window : windowOver(args, [15, 14], channels, filters);
        }
      }
    }
  }
}

/** Calls `visit(input, weight, output)` with the places of every product of a batch. */
export function forEachTap(w: Window, batch: number, visit: (x: number, weight: number, y: number) => void): void {
  for (let b = 0; b < batch; b++) {
    for (let oy = 0; oy < w.outHeight; oy++) {
      for (let ox = 0; ox < w.outWidth; ox++) {
        for (let ky = 0; ky < w.kernelHeight; ky++) {
          const iy = oy * w.strideHeight + ky * w.dilationHeight - w.top;
          if (iy < 0 || iy >= w.height) continue;
          for (let kx = 0; kx < w.kernelWidth; kx++) {
            const ix = ox * w.strideWidth + kx * w.dilationWidth - w.left;
            if (ix < 0 || ix >= w.width) continue;
            const x = ((b * w.height + iy) * w.width + ix) * w.channels;
            const y = ((b * w.outHeight + oy) * w.outWidth + ox) * w.filters;
            const tap = (ky * w.kernelWidth + kx) * w.channels;
            for (let c = 0; c < w.channels; c++) for (let o = 0; o < w.filters; o++) visit(x + c, (tap + c) * w.filters + o, y + o);
          }
        }
      }
    }
  }
}
