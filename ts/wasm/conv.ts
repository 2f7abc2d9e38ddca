// Stand-in: naive, to be replaced by the kernels.

import type { Window } from '../pattern/window.js';

/** Calls `visit(output, input, tap)` for each tap of each output position of one image, as [row·width + col] and [tap row·kernel width + tap col]. */
export function taps(w: Window, visit: (output: number, input: number, tap: number) => void): void {
  for (let oy = 0; oy < w.outHeight; oy++) {
    for (let ox = 0; ox < w.outWidth; ox++) {
      for (let kh = 0; kh < w.kernelHeight; kh++) {
        const y = oy * w.strideHeight + kh * w.dilationHeight - w.top;
        if (y < 0 || y >= w.height) continue;
        for (let kw = 0; kw < w.kernelWidth; kw++) {
          const x = ox * w.strideWidth + kw * w.dilationWidth - w.left;
          if (x >= 0 && x < w.width) visit(oy * w.outWidth + ox, y * w.width + x, kh * w.kernelWidth + kw);
        }
      }
    }
  }
}

/** The gradient of the whole kernel, flat as tfjs's `[kernelHeight, kernelWidth, channels, filters]`, of `x [batch, height, width, channels]` and `dy`. */
export function convFilterGradient(w: Window, batch: number, x: Float32Array, dy: Float32Array): Float32Array {
  const { channels, filters } = w;
  const gradient = new Float64Array(w.kernelHeight * w.kernelWidth * channels * filters);
  for (let b = 0; b < batch; b++) {
    const [image, out] = [b * w.height * w.width, b * w.outHeight * w.outWidth];
    taps(w, (output, input, tap) => {
      for (let c = 0; c < channels; c++) {
        const at = x[(image + input) * channels + c];
        const [from, to] = [(out + output) * filters, (tap * channels + c) * filters];
        for (let o = 0; o < filters; o++) gradient[to + o] += at * dy[from + o];
      }
    });
  }
  return Float32Array.from(gradient);
}
