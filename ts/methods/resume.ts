// The method that a model was trained with, from what it left in the model.

import type { LayersModel } from '@tensorflow/tfjs-layers';
import { FileError } from '../errors.js';
import { annealNamed } from '../topology/schedule.js';
import { sparseLayers } from '../topology/sparse_layer.js';
import type { Training } from '../topology/training.js';
import { dpf } from './dpf.js';
import { gap } from './gap.js';
import { ggr } from './ggr.js';
import { gmp } from './gmp.js';
import { gse } from './gse.js';
import { rigl } from './rigl.js';
import { set } from './set.js';
import { snfs } from './snfs.js';
import { staticPattern } from './static.js';
import { topKast } from './top_kast.js';

const methods: Record<string, (options: never) => Training> = { dpf, gap, ggr, gmp, gse, rigl, set, snfs, static: staticPattern, topKast };

/**
 * The methods, most often one, with the options that a model was trained with, to go on where a saved run stopped (with its optimizer:
 * `includeOptimizer`): `callbacks: resume(model)`, or `const [method] = resume(model)` in a loop of your own. Throws a FileError if the model names none, or
 * one of the user's own, of which a file cannot know the functions.
 */
export function resume(model: LayersModel): Training[] {
  const groups = new Map<string, string[]>();
  for (const { name, method } of sparseLayers(model)) if (method !== undefined) groups.set(method, [...(groups.get(method) ?? []), name]);
  if (groups.size === 0) throw new FileError('resume: expected a model that was trained by a method of this package');
  // Where several methods have trained it, one after the other or side by side, each goes on with the layers it had last.
  return [...groups].map(([text, layers]) => make(text, groups.size > 1 ? layers : undefined));
}

function make(text: string, layers: string[] | undefined): Training {
  let saved: { name?: unknown; options?: unknown };
  try {
    saved = JSON.parse(text);
  } catch (cause) {
    throw new FileError(`resume: expected the options of a method, received ${text}`, { cause });
  }
  const { name, options } = saved ?? {};
  if (typeof name !== 'string' || !Object.hasOwn(methods, name) || typeof options !== 'object' || options === null) {
    const received = name === null ? 'a rule of your own: make it again with dropGrow()' : JSON.stringify(name);
    throw new FileError(`resume: expected one of ${Object.keys(methods).join(', ')}, received ${received}`);
  }
  // JSON has neither undefined nor Infinity nor functions.
  const given: Record<string, unknown> = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== null));
  if ('anneal' in given) given.anneal = annealNamed(String(given.anneal));
  if (given.endStep === 'never') given.endStep = Infinity;
  if (layers) given.layers = layers;
  return methods[name](given as never);
}
