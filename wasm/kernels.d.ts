/* tslint:disable */
/* eslint-disable */

/**
 * See [`convolution::Convolution`].
 */
export class Convolution {
    free(): void;
    [Symbol.dispose](): void;
    /**
     * See [`convolution::Convolution::backward_order`].
     */
    backwardOrder(pattern: Pattern, numbers: Uint32Array | number[], values: number, out: number): void;
    /**
     * `count` rows from `first` on; `values` are in the lists' order, `dx` is 0 where not wanted. See
     * [`convolution::Convolution::backward`].
     */
    backward(numbers: Uint32Array | number[], first: number, count: number, x: number, dy: number, values: number, dx: number, partial: number): void;
    /**
     * See [`convolution::Convolution::forward_order`].
     */
    static forwardOrder(pattern: Pattern, values: number, out: number): void;
    /**
     * `count` rows from `first` on; `values` are in the lists' order, `bias` is 0 for none, `tile` a place in [`Tile::ALL`]. See
     * [`convolution::Convolution::forward`].
     */
    forward(numbers: Uint32Array | number[], first: number, count: number, x: number, values: number, bias: number, y: number, relu: boolean, tile: number): void;
    /**
     * `numbers` as for [`Window::new`]; those given to the others may differ in the heights.
     */
    constructor(pattern: Pattern, numbers: Uint32Array | number[]);
    /**
     * See [`convolution::Convolution::weight_gradient`].
     */
    weightGradient(pattern: Pattern, numbers: Uint32Array | number[], partial: number, values: number, d_values: number, decay_forward: number, decay_rest: number): void;
}

/**
 * See [`CsrPattern`].
 */
export class Pattern {
    free(): void;
    [Symbol.dispose](): void;
    /**
     * The column indices of a pattern of up to 65 536 columns; nothing for a wider one.
     */
    colIndices16(): Uint16Array | undefined;
    /**
     * The column indices of a pattern of more than 65 536 columns.
     */
    colIndices32(): Uint32Array | undefined;
    /**
     * See [`random::free_positions`].
     */
    freePositions(k: number, key: number): Uint32Array;
    /**
     * Top-KAST's pattern of a whole layer at `theta [rows·cols]`. See [`edit::largest`].
     */
    static largest(theta: number, rows: number, cols: number, forward_nnz: number, nnz: number): Pattern;
    constructor(cols: number, row_offsets: Uint32Array | number[], row_splits: Uint32Array | number[], col_indices: Uint32Array | number[]);
    /**
     * This pattern without the entries at `dropped` and with those at the flat indices `grown`. See [`edit::replace`].
     */
    replace(dropped: Uint32Array | number[], grown: Uint32Array | number[], regrow: boolean): Pattern;
    rowOffsets(): Uint32Array;
    rowSplits(): Uint32Array;
}

/**
 * See [`seeded::Seeded`].
 */
export class Seeded {
    free(): void;
    [Symbol.dispose](): void;
    cursor(): Uint32Array;
    /**
     * The sets of a layer at its start. See [`seeded::Seeded::largest`].
     */
    first(forward_nnz: number, nnz: number): Pattern;
    frozenIndices(): Uint32Array;
    frozenValues(): Float32Array;
    /**
     * The arguments after `cols` as for [`draw()`].
     */
    constructor(rows: number, cols: number, key: number, spread: number, first: number, second: number, alpha: number, max_frozen: number);
    /**
     * The sets after B was trained, which has its `values` at that address.
     */
    next(b: Pattern, values: number, forward_nnz: number): Pattern;
    /**
     * `cursor` is empty or (bits of the magnitude, index).
     */
    restore(indices: Uint32Array | number[], values: Float32Array | number[], cursor: Uint32Array | number[]): void;
    /**
     * The values of the sets found last, in the order of their pattern; once.
     */
    takeValues(): Float32Array;
    /**
     * The whole vector to `theta [rows·cols]`, for those who want to look at it. See [`seeded::Seeded::whole`].
     */
    whole(b: Pattern, values: number, theta: number): void;
}

/**
 * See [`optimizer::adam`].
 */
export function adam(values: number, gradients: number, next: number, m: number, v: number, steps: number, n: number, learning_rate: number, beta1: number, beta2: number, epsilon: number): void;

/**
 * Adds to `d_bias`; `dy` is `lines·out` rows of panels. See [`backward::bias`].
 */
export function addBias(dy: number, d_bias: number, lines: number, out: number): void;

/**
 * The address of `bytes` (> 0) bytes, on a cache line of their own; 0 when memory is exhausted. What is in them is anyone's guess unless `zeroed`.
 */
export function allocate(bytes: number, zeroed: boolean): number;

/**
 * All gradients of [`forward()`] in one call, on panels. `y` is its output where it ended in relu, else 0; `dx` is 0 where not wanted.
 * See [`Backward`].
 */
export function backward(pattern: Pattern, batch: number, x: number, values: number, y: number, dy: number, dx: number, d_values: number, d_bias: number, decay_forward: number, decay_rest: number): void;

/**
 * See [`edit::carry`].
 */
export function carry(from: number, from_length: number, source: number, to: number, length: number): void;

/**
 * Adds to `dw` or overwrites it. See [`conv_dense::filter_gradient`].
 */
export function convFilterGradient(numbers: Uint32Array | number[], batch: number, x: number, dy: number, add: boolean, dw: number): void;

/**
 * `bias` 0 for none. See [`conv_dense::forward`].
 */
export function convForward(numbers: Uint32Array | number[], batch: number, x: number, w: number, bias: number, relu: boolean, y: number): void;

/**
 * See [`conv_dense::input_gradient`].
 */
export function convInputGradient(numbers: Uint32Array | number[], batch: number, dy: number, w: number, dx: number): void;

/**
 * `c [m, n] = act(op(a)·op(b) + bias)` with `k` terms; `bias` 0 for none. See [`dense::dense`].
 */
export function dense(m: number, n: number, k: number, transpose_a: boolean, transpose_b: boolean, a: number, b: number, bias: number, relu: boolean, c: number): void;

/**
 * Adds to `dw` or overwrites it. See [`depthwise::filter_gradient`].
 */
export function depthwiseFilterGradient(numbers: Uint32Array | number[], batch: number, x: number, dy: number, add: boolean, dw: number): void;

/**
 * See [`depthwise::input_gradient`].
 */
export function depthwiseInputGradient(numbers: Uint32Array | number[], batch: number, dy: number, w: number, dx: number): void;

/**
 * Overwrites the flat indices at `values [n]` with their initial values. `spread` is 0 for uniform in [first, second), 1 for normal and 2 for
 * truncated normal with mean `first` and deviation `second`. See [`Source::value`].
 */
export function draw(values: number, n: number, key: number, spread: number, first: number, second: number, alpha: number): void;

/**
 * See [`kernels::flush`].
 */
export function flush(numbers: number, n: number): void;

/**
 * `x` and `y` are panels, `bias` is 0 for none, `tile` a place in [`Tile::ALL`]. See [`Forward`].
 */
export function forward(pattern: Pattern, batch: number, x: number, values: number, bias: number, y: number, relu: boolean, tile: number): void;

/**
 * See [`edit::gather`].
 */
export function gather(pattern: Pattern, theta: number, values: number): void;

/**
 * What the two before stream, unlooked at. For benches. See [`gradient::product_alone`].
 */
export function gradientProduct(rows: number, cols: number, batch: number, x: number, dy: number): number;

/**
 * Writes sum, maximum, norm and count to `out [4]` of f64. See [`gradient::reduce`].
 */
export function gradientReduce(pattern: Pattern, batch: number, x: number, dy: number, threshold: number, out: number): void;

/**
 * Writes the best candidates for growth to `rows`, `cols` and `gradients` (each `[k]`) and returns how many there are.
 * See [`gradient::top_k`].
 */
export function gradientTopK(pattern: Pattern, batch: number, x: number, dy: number, k: number, floor: number, rows: number, cols: number, gradients: number): number;

/**
 * Bytes that are allocated in this module's memory now.
 */
export function liveBytes(): number;

/**
 * The positions of the `k` lowest of `n` scores. See [`edit::lowest`].
 */
export function lowest(scores: number, n: number, k: number): Uint32Array;

/**
 * See [`edit::lowest_of_each_sign`].
 */
export function lowestOfEachSign(weights: number, n: number, fraction: number): Uint32Array;

/**
 * See [`pool::max_gradient`].
 */
export function maxPoolGradient(numbers: Uint32Array | number[], batch: number, x: number, dy: number, dx: number): void;

/**
 * See [`optimizer::momentum`].
 */
export function momentum(values: number, gradients: number, next: number, m: number, n: number, learning_rate: number, mu: number, nesterov: boolean): void;

/**
 * See [`pack::pack`].
 */
export function pack(rows: number, to: number, batch: number, features: number): void;

/**
 * See [`peak::peak`]; returns the number of floating-point operations done, or NaN should the sum vanish.
 */
export function peak(iterations: number, x: number, y: number): number;

/**
 * See [`power::power`].
 */
export function power(phi: number, theta: number, n: number, alpha: number): void;

/**
 * See [`power::gradient`].
 */
export function powerGradient(phi: number, d_theta: number, d_phi: number, n: number, alpha: number): void;

/**
 * Gives back what [`allocate`] returned for as many bytes.
 */
export function release(at: number, bytes: number): void;

/**
 * See [`edit::scatter`].
 */
export function scatter(pattern: Pattern, values: number, theta: number): void;

/**
 * See [`optimizer::sgd`].
 */
export function sgd(values: number, gradients: number, next: number, n: number, learning_rate: number): void;

/**
 * Writes where each entry of `next` was in `previous` to `source [nnz of next]`; says whether anything moved. See [`edit::sources`].
 */
export function sources(previous: Pattern, next: Pattern, source: number): boolean;

/**
 * See [`power::theta_gradient`].
 */
export function thetaGradient(phi: number, d_phi: number, d_theta: number, n: number, alpha: number): void;

/**
 * Begins to look for the `k` largest magnitudes among `n` values. See [`Selection::new`].
 */
export function topK(sample: number, length: number, n: number, k: number): void;

/**
 * Looks at the next values; returns where to go on, or −1 once `out [k]` has the indices. See [`Selection::look`].
 */
export function topKOf(values: number, length: number, out: number, k: number): number;

/**
 * See [`pack::unpack`].
 */
export function unpack(from: number, rows: number, batch: number, features: number): void;

/**
 * See [`backward::where_positive`].
 */
export function wherePositive(dy: number, y: number, length: number): void;

export type InitInput = RequestInfo | URL | Response | BufferSource | WebAssembly.Module;

export interface InitOutput {
    readonly memory: WebAssembly.Memory;
    readonly __wbg_convolution_free: (a: number, b: number) => void;
    readonly __wbg_pattern_free: (a: number, b: number) => void;
    readonly __wbg_seeded_free: (a: number, b: number) => void;
    readonly adam: (a: number, b: number, c: number, d: number, e: number, f: number, g: number, h: number, i: number, j: number, k: number) => void;
    readonly addBias: (a: number, b: number, c: number, d: number) => void;
    readonly allocate: (a: number, b: number) => number;
    readonly backward: (a: number, b: number, c: number, d: number, e: number, f: number, g: number, h: number, i: number, j: number, k: number) => void;
    readonly carry: (a: number, b: number, c: number, d: number, e: number) => void;
    readonly convFilterGradient: (a: number, b: number, c: number, d: number, e: number, f: number, g: number) => void;
    readonly convForward: (a: number, b: number, c: number, d: number, e: number, f: number, g: number, h: number) => void;
    readonly convInputGradient: (a: number, b: number, c: number, d: number, e: number, f: number) => void;
    readonly convolution_backward: (a: number, b: number, c: number, d: number, e: number, f: number, g: number, h: number, i: number, j: number) => void;
    readonly convolution_backwardOrder: (a: number, b: number, c: number, d: number, e: number, f: number) => void;
    readonly convolution_forward: (a: number, b: number, c: number, d: number, e: number, f: number, g: number, h: number, i: number, j: number, k: number) => void;
    readonly convolution_forwardOrder: (a: number, b: number, c: number) => void;
    readonly convolution_new: (a: number, b: number, c: number) => number;
    readonly convolution_weightGradient: (a: number, b: number, c: number, d: number, e: number, f: number, g: number, h: number, i: number) => void;
    readonly dense: (a: number, b: number, c: number, d: number, e: number, f: number, g: number, h: number, i: number, j: number) => void;
    readonly depthwiseFilterGradient: (a: number, b: number, c: number, d: number, e: number, f: number, g: number) => void;
    readonly depthwiseInputGradient: (a: number, b: number, c: number, d: number, e: number, f: number) => void;
    readonly draw: (a: number, b: number, c: number, d: number, e: number, f: number, g: number) => void;
    readonly flush: (a: number, b: number) => void;
    readonly forward: (a: number, b: number, c: number, d: number, e: number, f: number, g: number, h: number) => void;
    readonly gather: (a: number, b: number, c: number) => void;
    readonly gradientProduct: (a: number, b: number, c: number, d: number, e: number) => number;
    readonly gradientReduce: (a: number, b: number, c: number, d: number, e: number, f: number) => void;
    readonly gradientTopK: (a: number, b: number, c: number, d: number, e: number, f: number, g: number, h: number, i: number) => [number, number, number];
    readonly liveBytes: () => number;
    readonly lowest: (a: number, b: number, c: number) => [number, number, number, number];
    readonly lowestOfEachSign: (a: number, b: number, c: number) => [number, number, number, number];
    readonly maxPoolGradient: (a: number, b: number, c: number, d: number, e: number, f: number) => void;
    readonly momentum: (a: number, b: number, c: number, d: number, e: number, f: number, g: number, h: number) => void;
    readonly pack: (a: number, b: number, c: number, d: number) => void;
    readonly pattern_colIndices16: (a: number) => [number, number];
    readonly pattern_colIndices32: (a: number) => [number, number];
    readonly pattern_freePositions: (a: number, b: number, c: number) => [number, number];
    readonly pattern_largest: (a: number, b: number, c: number, d: number, e: number) => [number, number, number];
    readonly pattern_new: (a: number, b: number, c: number, d: number, e: number, f: number, g: number) => [number, number, number];
    readonly pattern_replace: (a: number, b: number, c: number, d: number, e: number, f: number) => [number, number, number];
    readonly pattern_rowOffsets: (a: number) => [number, number];
    readonly pattern_rowSplits: (a: number) => [number, number];
    readonly peak: (a: number, b: number, c: number) => number;
    readonly power: (a: number, b: number, c: number, d: number) => void;
    readonly powerGradient: (a: number, b: number, c: number, d: number, e: number) => void;
    readonly release: (a: number, b: number) => void;
    readonly scatter: (a: number, b: number, c: number) => void;
    readonly seeded_cursor: (a: number) => [number, number];
    readonly seeded_first: (a: number, b: number, c: number) => [number, number, number];
    readonly seeded_frozenIndices: (a: number) => [number, number];
    readonly seeded_frozenValues: (a: number) => [number, number];
    readonly seeded_new: (a: number, b: number, c: number, d: number, e: number, f: number, g: number, h: number) => number;
    readonly seeded_next: (a: number, b: number, c: number, d: number) => [number, number, number];
    readonly seeded_restore: (a: number, b: number, c: number, d: number, e: number, f: number, g: number) => [number, number];
    readonly seeded_takeValues: (a: number) => [number, number];
    readonly seeded_whole: (a: number, b: number, c: number, d: number) => void;
    readonly sgd: (a: number, b: number, c: number, d: number, e: number) => void;
    readonly sources: (a: number, b: number, c: number) => number;
    readonly thetaGradient: (a: number, b: number, c: number, d: number, e: number) => void;
    readonly topK: (a: number, b: number, c: number, d: number) => void;
    readonly topKOf: (a: number, b: number, c: number, d: number) => [number, number, number];
    readonly unpack: (a: number, b: number, c: number, d: number) => void;
    readonly wherePositive: (a: number, b: number, c: number) => void;
    readonly __wbindgen_externrefs: WebAssembly.Table;
    readonly __wbindgen_malloc: (a: number, b: number) => number;
    readonly __wbindgen_free: (a: number, b: number, c: number) => void;
    readonly __externref_table_dealloc: (a: number) => void;
    readonly __wbindgen_start: () => void;
}

export type SyncInitInput = BufferSource | WebAssembly.Module;

/**
 * Instantiates the given `module`, which can either be bytes or
 * a precompiled `WebAssembly.Module`.
 *
 * @param {{ module: SyncInitInput }} module - Passing `SyncInitInput` directly is deprecated.
 *
 * @returns {InitOutput}
 */
export function initSync(module: { module: SyncInitInput } | SyncInitInput): InitOutput;

/**
 * If `module_or_path` is {RequestInfo} or {URL}, makes a request and
 * for everything else, calls `WebAssembly.instantiate` directly.
 *
 * @param {{ module_or_path: InitInput | Promise<InitInput> }} module_or_path - Passing `InitInput` directly is deprecated.
 *
 * @returns {Promise<InitOutput>}
 */
export default function __wbg_init (module_or_path: { module_or_path: InitInput | Promise<InitInput> } | InitInput | Promise<InitInput>): Promise<InitOutput>;

/** What the binaries of these sources are stamped with. */
export const STAMP: string;
