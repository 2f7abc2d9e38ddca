// jax-js on its wasm backend: the strongest dense JavaScript opponent, compiled per shape.

import { defaultDevice, grad, init, jit, lax, nn, numpy as np, tree, valueAndGrad } from '@jax-js/jax';

let ready;

/** A dense perceptron; returns one training step that resolves to the loss. */
export async function denseStep({ widths, optimizer, x, y }) {
  ready ??= init('wasm').then(() => defaultDevice('wasm'));
  await ready;
  const batch = x.length / widths[0];
  const classes = widths.at(-1);
  const uniform = (shape, scale) =>
    np.array(Float32Array.from({ length: shape[0] * shape[1] }, () => (Math.random() * 2 - 1) * scale)).reshape(shape);
  let parameters = {};
  widths.slice(1).forEach((units, i) => {
    parameters[`w${i}`] = uniform([widths[i], units], Math.sqrt(6 / widths[i]));
    parameters[`b${i}`] = np.zeros([units]);
  });
  const names = Object.keys(parameters);
  const layers = widths.length - 1;
  const xs = np.array(Float32Array.from(x)).reshape([batch, widths[0]]);
  const ys = np.array(Float32Array.from(y)).reshape([batch, classes]);
  const loss = (p, x, y) => {
    let h = x;
    for (let i = 0; i < layers; i++) {
      h = np.matmul(h, p[`w${i}`]).add(p[`b${i}`]);
      if (i < layers - 1) h = nn.relu(h);
    }
    return np.mean(np.sum(nn.logSoftmax(h).mul(y), -1)).neg();
  };
  const gradients = valueAndGrad(loss);
  if (optimizer === 'sgd') {
    const step = jit((p, x, y) => {
      const [value, g] = gradients(tree.ref(p), x, y);
      return [value, Object.fromEntries(names.map((n) => [n, p[n].sub(g[n].mul(0.05))]))];
    });
    return async () => {
      const [value, next] = step(parameters, xs.ref, ys.ref);
      parameters = next;
      return (await value.data())[0];
    };
  }
  const zeros = () => Object.fromEntries(names.map((n) => [n, np.zeros(parameters[n].shape)]));
  let [m, v] = [zeros(), zeros()];
  const step = jit((p, m, v, c1, c2, x, y) => {
    const [value, g] = gradients(tree.ref(p), x, y);
    const [p2, m2, v2] = [{}, {}, {}];
    for (const n of names) {
      m2[n] = m[n].mul(0.9).add(g[n].ref.mul(0.1));
      v2[n] = v[n].mul(0.999).add(g[n].ref.mul(g[n]).mul(0.001));
      p2[n] = p[n].sub(
        m2[n].ref
          .mul(c1.ref)
          .div(np.sqrt(v2[n].ref.mul(c2.ref)).add(1e-7))
          .mul(0.001),
      );
    }
    c1.dispose();
    c2.dispose();
    return [value, p2, m2, v2];
  });
  let t = 0;
  return async () => {
    t++;
    const [c1, c2] = [0.9, 0.999].map((beta) => np.array(Float32Array.of(1 / (1 - beta ** t))).reshape([]));
    const [value, ...next] = step(parameters, m, v, c1, c2, xs.ref, ys.ref);
    [parameters, m, v] = next;
    return (await value.data())[0];
  };
}

/**
 * A dense convolution, stride 1 and 'same': the product, and its gradients of x and w. Resolves to functions that run them, and to the sum of each one's
 * numbers.
 * @param {{ x: Float32Array, w: Float32Array, batch: number, size: number, channels: number, kernel: number, filters: number }} layer
 */
export async function convolution({ x, w, batch, size, channels, kernel, filters }) {
  ready ??= init('wasm').then(() => defaultDevice('wasm'));
  await ready;
  // It takes channels first.
  const images = np.transpose(np.array(x).reshape([batch, size, size, channels]), [0, 3, 1, 2]);
  const weights = np.transpose(np.array(w).reshape([kernel, kernel, channels, filters]), [3, 2, 0, 1]);
  const product = (x, w) => lax.convGeneralDilated(x, w, [1, 1], 'SAME');
  const forward = jit((x, w) => np.sum(product(x, w)));
  const backward = jit((x, w) => {
    const [dx, dw] = grad((x, w) => np.sum(product(x, w)), { argnums: [0, 1] })(x, w);
    return [np.sum(dx), np.sum(dw)];
  });
  return {
    forward: async () => (await forward(images.ref, weights.ref).data())[0],
    backward: async () => Promise.all(backward(images.ref, weights.ref).map(async (sum) => (await sum.data())[0])),
  };
}
