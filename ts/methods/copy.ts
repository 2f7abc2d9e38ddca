// A copy of a model in which some layers have become others: tfjs's own description of it, changed and built again.

import { type LayersModel, type layers, models } from '@tensorflow/tfjs-layers';
import { OptionError } from '../errors.js';

/** What a layer becomes. */
export interface Replacement {
  className: string;
  /** The options of the new layer from those of the old one, in the snake case of saved models. */
  config(old: Record<string, unknown>): Record<string, unknown>;
  /** Gives the new layer its weights. */
  fill(layer: layers.Layer): void;
}

interface LayerJson {
  class_name: string;
  config: Record<string, unknown> & { name: string; layers?: LayerJson[] };
}

/**
 * A copy of `model` with `replacements` for layers of these names; others are copied with their weights. Not compiled. `method` is named in errors.
 *
 * Throws an OptionError for a model with models inside.
 */
export async function copyWith(method: string, model: LayersModel, replacements: ReadonlyMap<string, Replacement>): Promise<LayersModel> {
  refuseInner(method, model);
  const json = model.toJSON(null, false) as unknown as LayerJson;
  for (const layer of json.config.layers ?? []) {
    const replacement = replacements.get(layer.config.name);
    if (!replacement) continue;
    layer.class_name = replacement.className;
    layer.config = { ...replacement.config(layer.config), name: layer.config.name };
  }
  const copy = await models.modelFromJSON({ modelTopology: json as never });
  for (const layer of copy.layers) {
    const replacement = replacements.get(layer.name);
    if (replacement) replacement.fill(layer);
    else layer.setWeights(model.getLayer(layer.name).getWeights());
  }
  return copy;
}

/** Refuses a model with models inside. */
export function refuseInner(method: string, model: LayersModel): void {
  const inner = model.layers.find((layer) => 'layers' in layer);
  if (inner) throw new OptionError(`${method} model`, 'one without models inside', inner.name);
}
