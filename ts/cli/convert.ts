// `tfjs-sparse convert`: a saved model as a dense one of tfjs, as a sparse one, or as a file for other programs.

import type { LayersModel } from '@tensorflow/tfjs-layers';
import { OptionError } from '../errors.js';
import { writeNewFile } from '../files/atomic.js';
import { type NamedArray, safetensors } from '../files/safetensors.js';
import { sparsify } from '../methods/sparsify.js';
import { refuseWrapped, toDense } from '../methods/to_dense.js';
import { type KernelShape, unitsAreRows } from '../pattern/kernel_shape.js';
import { forwardWeights } from '../topology/forward_weights.js';
import { isSparse } from '../topology/sparse_layer.js';
import { allLayers } from '../topology/summary.js';
import { grouped } from '../topology/table.js';
import { useInstalledBackend } from './backend.js';
import type { ConvertOptions } from './options.js';
import { checkNewFile, checkNewModel } from './out.js';
import { loadModel, saveModel } from './saved_model.js';
import { told } from './told.js';
import { weightsOf } from './weights.js';

export async function convert(path: string, out: string, { to, json }: ConvertOptions): Promise<void> {
  await (to === 'safetensors' ? checkNewFile : checkNewModel)(out);
  await useInstalledBackend();
  const model = await loadModel(path);
  if (to === 'safetensors') {
    await writeTensors(out, model, json);
    return;
  }
  const converted = await (to === 'dense' ? toDense(model) : sparsify(model));
  await saveModel(out, converted);
  told(out, converted, json);
}

async function writeTensors(out: string, model: LayersModel, json: boolean): Promise<void> {
  const { tensors, metadata } = arraysOf(model);
  const file = safetensors(tensors, metadata);
  await writeNewFile(out, file);
  const shapes = Object.entries(tensors).map(([name, { shape }]) => [name, shape] as const);
  const lines = [...shapes.map(([name, shape]) => `${name} ${JSON.stringify(shape)}`), '', `${grouped(file.length)} bytes: ${out}`];
  console.log(json ? JSON.stringify({ out, bytes: file.length, tensors: Object.fromEntries(shapes) }, null, 2) : lines.join('\n'));
}

/**
 * Of a sparse layer the weights of the forward pass in CSR form, NAME.values `[nnz]`, NAME.col_indices `[nnz]`, NAME.row_offsets `[rows + 1]`, and
 * NAME.bias `[units]`; its shape, `[units, in]` of a dense layer, `[height·width·channels, filters]` of a convolution, is in the metadata, and there the
 * shape of the kernel of each convolution. Of other layers the weights as the layer names them, NAME.kernel or
 * NAME.forward_lstm/kernel; of `layers.powerDense` θ. Throws an OptionError where two weights would have one name, and for sparse layers in wrappers.
 */
function arraysOf(model: LayersModel): { tensors: Record<string, NamedArray>; metadata: Record<string, string> } {
  const tensors = new Map<string, NamedArray>();
  const shapes: Record<string, number[]> = {};
  const kernels: Record<string, KernelShape> = {};
  const add = (name: string, shape: readonly number[], data: NamedArray['data']) => {
    if (tensors.has(name)) throw new OptionError('convert model', 'weights that differ in their names', name);
    tensors.set(name, { shape, data });
  };
  for (const [name, layer] of allLayers(model)) {
    refuseWrapped('convert', layer);
    if (isSparse(layer)) {
      const { pattern, weights } = forwardWeights(layer);
      shapes[name] = [pattern.rows, pattern.cols];
      if (!unitsAreRows(layer.kernelShape)) kernels[name] = layer.kernelShape;
      add(`${name}.values`, [pattern.nnz], weights);
      add(`${name}.col_indices`, [pattern.nnz], new Int32Array(pattern.colIndices));
      add(`${name}.row_offsets`, [pattern.rows + 1], new Int32Array(pattern.rowOffsets));
      if (layer.bias) add(`${name}.bias`, layer.bias.shape, layer.bias.dataSync() as Float32Array);
      continue;
    }
    layer.weights.forEach((weight, i) => {
      const tensor = weight.read();
      // The kernel of a dense layer comes first.
      const data = (i === 0 && weightsOf(layer)) || tensor.dataSync();
      add(`${name}.${ownName(layer.name, weight.originalName)}`, tensor.shape, data instanceof Float32Array ? data : new Int32Array(data));
    });
  }
  const text = 'CSR: y = x·Wᵀ + bias, W [units, in] = scipy.sparse.csr_matrix((values, col_indices, row_offsets), shape)';
  const convolutions =
    'of the layers in `kernels`: csr_matrix((values, col_indices, row_offsets), shape).toarray().reshape(kernel) is [height, width, in, out]';
  const metadata = { format: text, generator: 'tfjs-sparse', shapes: JSON.stringify(shapes) };
  return {
    tensors: Object.fromEntries(tensors),
    metadata: Object.keys(kernels).length === 0 ? metadata : { ...metadata, convolutions, kernels: JSON.stringify(kernels) },
  };
}

/** Below the layer's name: a wrapper has its weights from layers that name them alike. */
function ownName(layer: string, weight: string): string {
  return weight.startsWith(`${layer}/`) ? weight.slice(layer.length + 1) : weight;
}
