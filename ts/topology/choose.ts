// What a drop/grow method differs in, and what it chooses at an edit.

import { checkCount, OptionError, ShapeError } from '../errors.js';
import { refusingNaN } from '../ops/refusing_nan.js';
import { releasePattern } from '../ops/sparse_dense.js';
import { lowest, replace } from '../ops/whole_layer.js';
import type { CsrPattern } from '../pattern/csr.js';
import type { LayerView } from './layer_view.js';

/**
 * How a method chooses. The three functions in which methods differ; everything else is the same for all.
 *
 * ```js
 * // Drops the weights that the last step made smaller the most; grows at random.
 * const mine = { name: 'mine', dropScore: ({ weights, gradients }) => weights.map((w, i) => -w * gradients[i]), usesGradients: true,
 *                grow: eachLayer((layer, k) => layer.randomFree(k)) };
 * callbacks: [dropGrow(mine, { dropFraction: 0.2, endStep: 5000 })]
 * ```
 */
export interface Rule {
  readonly name: string;
  /** How many weights a layer drops. Default: ⌊nnz·fraction⌋. */
  dropCount?: ((layer: LayerView, fraction: number) => number) | undefined;
  /** A score for each weight `[nnz]`; those with the lowest are dropped, of equal ones the higher position. Default: |θ|. */
  dropScore?: ((layer: LayerView, fraction: number) => Float32Array) | undefined;
  /** The weights to drop by position in the pattern, ascending, for what no score says. Instead of the two above. */
  drop?: ((layer: LayerView, fraction: number) => Uint32Array) | undefined;
  /**
   * Where each layer grows: free positions, ascending, for each of `layers`. `counts` is what they drop; layers may get other shares of the sum
   * ({@link eachLayer} gives each its own). Where less is grown in all, less is dropped.
   */
  grow(layers: readonly LayerView[], counts: readonly number[]): Uint32Array[];
  /** Whether `grow` or `dropScore` ask for gradients; without it the layers do not record them. */
  readonly usesGradients?: boolean | undefined;
}

/** A rule that serves each layer by itself: as many grown as dropped. */
export function eachLayer(grow: (layer: LayerView, k: number) => Uint32Array): Rule['grow'] {
  return (layers, counts) => layers.map((layer, i) => grow(layer, Math.min(counts[i], layer.free)));
}

/**
 * Which weights of each layer go, by position in the pattern, and where as many grow, by flat index; both ascend. Throws where a rule returns what cannot
 * be. With `regrow`, positions just dropped are free.
 */
export function choose(
  rule: Rule,
  views: readonly LayerView[],
  fraction: number,
  regrow: boolean,
): { grown: Uint32Array[]; dropped: Uint32Array[] } {
  const chosen = views.map((view) => {
    const own = refusingNaN(`${rule.name} weights of ${view.name}`, () => rule.drop?.(view, fraction));
    if (own) checkDrop(`${rule.name} drop of ${view.name}`, own, view.nnz);
    return own;
  });
  const counts = views.map((view, i) => {
    const count = chosen[i]?.length ?? rule.dropCount?.(view, fraction) ?? Math.floor(view.nnz * fraction);
    return Math.min(view.nnz, checkCount(`${rule.name} dropCount of ${view.name}`, count, 0));
  });
  const drop = (view: LayerView, i: number): Uint32Array => {
    const own = chosen[i];
    if (own) return fewer(rule, view, own, counts[i], fraction);
    return counts[i] === 0 ? new Uint32Array(0) : ranked(rule, view, scoresOf(rule, view, fraction), counts[i]);
  };
  // Where dropped positions may grow again, what is dropped must be known first; else what can grow decides how much is dropped.
  let dropped: Uint32Array[] | undefined;
  const kept: CsrPattern[] = [];
  if (regrow) {
    dropped = views.map(drop);
    views.forEach((view, i) => {
      kept.push(replace(view.pattern, (dropped as Uint32Array[])[i], new Uint32Array(0)));
      view.release(kept[i]);
    });
  } else {
    limit(
      counts,
      views.reduce((sum, view) => sum + view.free, 0),
    );
  }
  let grown: Uint32Array[];
  try {
    grown = rule.grow(views, counts);
  } finally {
    for (const pattern of kept) releasePattern(pattern);
  }
  const wanted = counts.slice();
  balance(rule, views, counts, grown);
  // What was dropped too much comes back, unless it has grown again already.
  const back = (all: Uint32Array, i: number) => (counts[i] === wanted[i] ? all : fewer(rule, views[i], all, counts[i], fraction, grown[i]));
  return { grown, dropped: dropped?.map(back) ?? views.map(drop) };
}

/** Refuses what JavaScript may return in the place of positions. */
function checkArray(what: string, positions: Uint32Array): void {
  if (!(positions instanceof Uint32Array)) throw new OptionError(what, 'a Uint32Array', positions);
}

/** Refuses anything but ascending positions in a pattern. */
function checkDrop(what: string, positions: Uint32Array, nnz: number): void {
  checkArray(what, positions);
  const bad = positions.findIndex((at, i) => at >= nnz || (i > 0 && at <= positions[i - 1]));
  if (bad >= 0) throw new OptionError(what, `ascending positions below ${nnz}`, positions[bad]);
}

function scoresOf(rule: Rule, view: LayerView, fraction: number): Float32Array {
  const scores = rule.dropScore?.(view, fraction) ?? view.magnitudes;
  if (scores.length !== view.nnz) throw new ShapeError(`${rule.name} dropScore of ${view.name}`, [view.nnz], [scores.length]);
  return scores;
}

/** The positions of the k lowest scores. */
function ranked(rule: Rule, view: LayerView, scores: Float32Array, k: number): Uint32Array {
  return refusingNaN(`${rule.name} scores of ${view.name}`, () => lowest(scores, k));
}

/** Of the positions `dropped` those `k` with the lowest scores; those that are among `grown` places in any case. */
function fewer(rule: Rule, view: LayerView, dropped: Uint32Array, k: number, fraction: number, grown?: Uint32Array): Uint32Array {
  if (dropped.length <= k) return dropped;
  const flat = view.pattern.flat();
  const again = new Set(grown);
  const scores = scoresOf(rule, view, fraction);
  const ranking = Float32Array.from(dropped, (at) => (again.has(flat[at]) ? -Infinity : scores[at]));
  return ranked(rule, view, ranking, k).map((at) => dropped[at]);
}

/** Makes `counts` add up to what was grown. */
function balance(rule: Rule, views: readonly LayerView[], counts: number[], grown: readonly Uint32Array[]): void {
  if (!Array.isArray(grown) || grown.length !== views.length) {
    throw new OptionError(`${rule.name} grow`, `an array for each of ${views.length} layers`, grown);
  }
  views.forEach((view, i) => {
    const what = `${rule.name} growth in ${view.name}`;
    checkArray(what, grown[i]);
    if (grown[i].length > view.free) throw new OptionError(what, `at most the ${view.free} positions that are free`, grown[i].length);
  });
  let surplus = counts.reduce((a, b) => a + b, 0) - grown.reduce((sum, positions) => sum + positions.length, 0);
  if (surplus < 0) {
    const total = counts.reduce((a, b) => a + b, 0);
    throw new OptionError(`${rule.name} growth over ${views.length} layers`, `${total} weights, as many as were dropped`, total - surplus);
  }
  for (let i = 0; i < counts.length && surplus > 0; i++) {
    const less = Math.min(surplus, Math.max(0, counts[i] - grown[i].length));
    counts[i] -= less;
    surplus -= less;
  }
}

/** Lowers `counts` in proportion until their sum is at most `most`. */
function limit(counts: number[], most: number): void {
  const total = counts.reduce((a, b) => a + b, 0);
  if (total <= most) return;
  for (let i = 0; i < counts.length; i++) counts[i] = Math.floor((counts[i] * most) / total);
}
