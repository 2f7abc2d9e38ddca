// `tfjs-sparse convert`: a saved model as a dense one of tfjs, as a sparse one, or as a file for other programs.

import type { LayersModel } from '@tensorflow/tfjs-layers';
import { writeFileWhole } from '../files/atomic.js';
import { type NamedArray, safetensors } from '../files/safetensors.js';
import { sparsify } from '../methods/sparsify.js';
import { toDense } from '../methods/to_dense.js';
import { forwardWeights } from '../topology/forward_weights.js';
import { isSparse } from '../topology/sparse_layer.js';
import { allLayers } from '../topology/summary.js';
import { grouped } from '../topology/table.js';
import { useInstalledBackend } from './backend.js';
import type { ConvertOptions } from './options.js';
import { checkNewFile, checkNewFolder } from './out.js';
import { loadModel, saveModel } from './saved_model.js';
import { told } from './told.js';

export async function convert(path: string, out: string, { to, json }: ConvertOptions): Promise<void> {
  await (to === 'safetensors' ? checkNewFile : checkNewFolder)(out);
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
  await writeFileWhole(out, file);
  const shapes = Object.entries(tensors).map(([name, { shape }]) => [name, shape] as const);
  const lines = [...shapes.map(([name, shape]) => `${name} ${JSON.stringify(shape)}`), '', `${grouped(file.length)} bytes: ${out}`];
  console.log(json ? JSON.stringify({ out, bytes: file.length, tensors: Object.fromEntries(shapes) }, null, 2) : lines.join('\n'));
}

/**
 * Of a sparse layer the weights of the forward pass in CSR form, NAME.values `[nnz]`, NAME.col_indices `[nnz]`, NAME.row_offsets `[units + 1]`, and
 * NAME.bias `[units]`; its shape `[units, in]` is in the metadata. Of other layers the weights as they are.
 */
function arraysOf(model: LayersModel): { tensors: Record<string, NamedArray>; metadata: Record<string, string> } {
  const tensors: Record<string, NamedArray> = {};
  const shapes: Record<string, number[]> = {};
  for (const [name, layer] of allLayers(model)) {
    if (isSparse(layer)) {
      const { pattern, weights } = forwardWeights(layer);
      shapes[name] = [pattern.rows, pattern.cols];
      tensors[`${name}.values`] = { shape: [pattern.nnz], data: weights };
      tensors[`${name}.col_indices`] = { shape: [pattern.nnz], data: new Int32Array(pattern.colIndices) };
      tensors[`${name}.row_offsets`] = { shape: [pattern.rows + 1], data: new Int32Array(pattern.rowOffsets) };
      if (layer.bias) tensors[`${name}.bias`] = { shape: [pattern.rows], data: layer.bias.dataSync() as Float32Array };
      continue;
    }
    layer.weights.forEach((weight) => {
      const tensor = weight.read();
      const data = tensor.dataSync();
      const own = weight.originalName.split('/').at(-1) as string;
      tensors[`${name}.${own}`] = { shape: tensor.shape, data: data instanceof Float32Array ? data : new Int32Array(data) };
    });
  }
  const text = 'CSR: y = x·Wᵀ + bias, W [units, in] = scipy.sparse.csr_matrix((values, col_indices, row_offsets), shape)';
  return { tensors, metadata: { format: text, generator: 'tfjs-sparse', shapes: JSON.stringify(shapes) } };
}
