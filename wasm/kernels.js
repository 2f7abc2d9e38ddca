/* @ts-self-types="./kernels.d.ts" */

/**
 * See [`convolution::Convolution`].
 */
export class Convolution {
    __destroy_into_raw() {
        const ptr = this.__wbg_ptr;
        this.__wbg_ptr = 0;
        ConvolutionFinalization.unregister(this);
        return ptr;
    }
    free() {
        const ptr = this.__destroy_into_raw();
        wasm.__wbg_convolution_free(ptr, 0);
    }
    /**
     * See [`convolution::Convolution::backward_order`].
     * @param {Pattern} pattern
     * @param {Uint32Array | number[]} numbers
     * @param {number} values
     * @param {number} out
     */
    backwardOrder(pattern, numbers, values, out) {
        _assertClass(pattern, Pattern);
        const ptr0 = passArray32ToWasm0(numbers, wasm.__wbindgen_malloc);
        const len0 = WASM_VECTOR_LEN;
        wasm.convolution_backwardOrder(this.__wbg_ptr, pattern.__wbg_ptr, ptr0, len0, values, out);
    }
    /**
     * `count` rows from `first` on; `values` are in the lists' order, `dx` is 0 where not wanted. See
     * [`convolution::Convolution::backward`].
     * @param {Uint32Array | number[]} numbers
     * @param {number} first
     * @param {number} count
     * @param {number} x
     * @param {number} dy
     * @param {number} values
     * @param {number} dx
     * @param {number} partial
     */
    backward(numbers, first, count, x, dy, values, dx, partial) {
        const ptr0 = passArray32ToWasm0(numbers, wasm.__wbindgen_malloc);
        const len0 = WASM_VECTOR_LEN;
        wasm.convolution_backward(this.__wbg_ptr, ptr0, len0, first, count, x, dy, values, dx, partial);
    }
    /**
     * See [`convolution::Convolution::forward_order`].
     * @param {Pattern} pattern
     * @param {number} values
     * @param {number} out
     */
    static forwardOrder(pattern, values, out) {
        _assertClass(pattern, Pattern);
        wasm.convolution_forwardOrder(pattern.__wbg_ptr, values, out);
    }
    /**
     * `count` rows from `first` on; `values` are in the lists' order, `bias` is 0 for none, `tile` a place in [`Tile::ALL`]. See
     * [`convolution::Convolution::forward`].
     * @param {Uint32Array | number[]} numbers
     * @param {number} first
     * @param {number} count
     * @param {number} x
     * @param {number} values
     * @param {number} bias
     * @param {number} y
     * @param {boolean} relu
     * @param {number} tile
     */
    forward(numbers, first, count, x, values, bias, y, relu, tile) {
        const ptr0 = passArray32ToWasm0(numbers, wasm.__wbindgen_malloc);
        const len0 = WASM_VECTOR_LEN;
        wasm.convolution_forward(this.__wbg_ptr, ptr0, len0, first, count, x, values, bias, y, relu, tile);
    }
    /**
     * `numbers` as for [`Window::new`]; those given to the others may differ in the heights.
     * @param {Pattern} pattern
     * @param {Uint32Array | number[]} numbers
     */
    constructor(pattern, numbers) {
        _assertClass(pattern, Pattern);
        const ptr0 = passArray32ToWasm0(numbers, wasm.__wbindgen_malloc);
        const len0 = WASM_VECTOR_LEN;
        const ret = wasm.convolution_new(pattern.__wbg_ptr, ptr0, len0);
        this.__wbg_ptr = ret;
        ConvolutionFinalization.register(this, this.__wbg_ptr, this);
        return this;
    }
    /**
     * See [`convolution::Convolution::weight_gradient`].
     * @param {Pattern} pattern
     * @param {Uint32Array | number[]} numbers
     * @param {number} partial
     * @param {number} values
     * @param {number} d_values
     * @param {number} decay_forward
     * @param {number} decay_rest
     */
    weightGradient(pattern, numbers, partial, values, d_values, decay_forward, decay_rest) {
        _assertClass(pattern, Pattern);
        const ptr0 = passArray32ToWasm0(numbers, wasm.__wbindgen_malloc);
        const len0 = WASM_VECTOR_LEN;
        wasm.convolution_weightGradient(this.__wbg_ptr, pattern.__wbg_ptr, ptr0, len0, partial, values, d_values, decay_forward, decay_rest);
    }
}
if (Symbol.dispose) Convolution.prototype[Symbol.dispose] = Convolution.prototype.free;

/**
 * See [`CsrPattern`].
 */
export class Pattern {
    static __wrap(ptr) {
        const obj = Object.create(Pattern.prototype);
        obj.__wbg_ptr = ptr;
        PatternFinalization.register(obj, obj.__wbg_ptr, obj);
        return obj;
    }
    __destroy_into_raw() {
        const ptr = this.__wbg_ptr;
        this.__wbg_ptr = 0;
        PatternFinalization.unregister(this);
        return ptr;
    }
    free() {
        const ptr = this.__destroy_into_raw();
        wasm.__wbg_pattern_free(ptr, 0);
    }
    /**
     * The column indices of a pattern of up to 65 536 columns; nothing for a wider one.
     * @returns {Uint16Array | undefined}
     */
    colIndices16() {
        const ret = wasm.pattern_colIndices16(this.__wbg_ptr);
        let v1;
        if (ret[0] !== 0) {
            v1 = getArrayU16FromWasm0(ret[0], ret[1]).slice();
            wasm.__wbindgen_free(ret[0], ret[1] * 2, 2);
        }
        return v1;
    }
    /**
     * The column indices of a pattern of more than 65 536 columns.
     * @returns {Uint32Array | undefined}
     */
    colIndices32() {
        const ret = wasm.pattern_colIndices32(this.__wbg_ptr);
        let v1;
        if (ret[0] !== 0) {
            v1 = getArrayU32FromWasm0(ret[0], ret[1]).slice();
            wasm.__wbindgen_free(ret[0], ret[1] * 4, 4);
        }
        return v1;
    }
    /**
     * See [`random::free_positions`].
     * @param {number} k
     * @param {number} key
     * @returns {Uint32Array}
     */
    freePositions(k, key) {
        const ret = wasm.pattern_freePositions(this.__wbg_ptr, k, key);
        var v1 = getArrayU32FromWasm0(ret[0], ret[1]).slice();
        wasm.__wbindgen_free(ret[0], ret[1] * 4, 4);
        return v1;
    }
    /**
     * Top-KAST's pattern of a whole layer at `theta [rows·cols]`. See [`edit::largest`].
     * @param {number} theta
     * @param {number} rows
     * @param {number} cols
     * @param {number} forward_nnz
     * @param {number} nnz
     * @returns {Pattern}
     */
    static largest(theta, rows, cols, forward_nnz, nnz) {
        const ret = wasm.pattern_largest(theta, rows, cols, forward_nnz, nnz);
        if (ret[2]) {
            throw takeFromExternrefTable0(ret[1]);
        }
        return Pattern.__wrap(ret[0]);
    }
    /**
     * @param {number} cols
     * @param {Uint32Array | number[]} row_offsets
     * @param {Uint32Array | number[]} row_splits
     * @param {Uint32Array | number[]} col_indices
     */
    constructor(cols, row_offsets, row_splits, col_indices) {
        let ptr0, len0, ptr1, len1, ptr2, len2;
        try {
            ptr0 = passArray32ToWasm0(row_offsets, wasm.__wbindgen_malloc);
            len0 = WASM_VECTOR_LEN;
            ptr1 = passArray32ToWasm0(row_splits, wasm.__wbindgen_malloc);
            len1 = WASM_VECTOR_LEN;
            ptr2 = passArray32ToWasm0(col_indices, wasm.__wbindgen_malloc);
            len2 = WASM_VECTOR_LEN;
        } catch (e) {
            if (ptr2) { wasm.__wbindgen_free(ptr2, len2 * 4, 4); }
            if (ptr1) { wasm.__wbindgen_free(ptr1, len1 * 4, 4); }
            if (ptr0) { wasm.__wbindgen_free(ptr0, len0 * 4, 4); }
            throw e;
        }
        const ret = wasm.pattern_new(cols, ptr0, len0, ptr1, len1, ptr2, len2);
        if (ret[2]) {
            throw takeFromExternrefTable0(ret[1]);
        }
        this.__wbg_ptr = ret[0];
        PatternFinalization.register(this, this.__wbg_ptr, this);
        return this;
    }
    /**
     * This pattern without the entries at `dropped` and with those at the flat indices `grown`. See [`edit::replace`].
     * @param {Uint32Array | number[]} dropped
     * @param {Uint32Array | number[]} grown
     * @param {boolean} regrow
     * @returns {Pattern}
     */
    replace(dropped, grown, regrow) {
        let ptr0, len0, ptr1, len1;
        try {
            ptr0 = passArray32ToWasm0(dropped, wasm.__wbindgen_malloc);
            len0 = WASM_VECTOR_LEN;
            ptr1 = passArray32ToWasm0(grown, wasm.__wbindgen_malloc);
            len1 = WASM_VECTOR_LEN;
        } catch (e) {
            if (ptr1) { wasm.__wbindgen_free(ptr1, len1 * 4, 4); }
            if (ptr0) { wasm.__wbindgen_free(ptr0, len0 * 4, 4); }
            throw e;
        }
        const ret = wasm.pattern_replace(this.__wbg_ptr, ptr0, len0, ptr1, len1, regrow);
        if (ret[2]) {
            throw takeFromExternrefTable0(ret[1]);
        }
        return Pattern.__wrap(ret[0]);
    }
    /**
     * @returns {Uint32Array}
     */
    rowOffsets() {
        const ret = wasm.pattern_rowOffsets(this.__wbg_ptr);
        var v1 = getArrayU32FromWasm0(ret[0], ret[1]).slice();
        wasm.__wbindgen_free(ret[0], ret[1] * 4, 4);
        return v1;
    }
    /**
     * @returns {Uint32Array}
     */
    rowSplits() {
        const ret = wasm.pattern_rowSplits(this.__wbg_ptr);
        var v1 = getArrayU32FromWasm0(ret[0], ret[1]).slice();
        wasm.__wbindgen_free(ret[0], ret[1] * 4, 4);
        return v1;
    }
}
if (Symbol.dispose) Pattern.prototype[Symbol.dispose] = Pattern.prototype.free;

/**
 * See [`seeded::Seeded`].
 */
export class Seeded {
    __destroy_into_raw() {
        const ptr = this.__wbg_ptr;
        this.__wbg_ptr = 0;
        SeededFinalization.unregister(this);
        return ptr;
    }
    free() {
        const ptr = this.__destroy_into_raw();
        wasm.__wbg_seeded_free(ptr, 0);
    }
    /**
     * @returns {Uint32Array}
     */
    cursor() {
        const ret = wasm.seeded_cursor(this.__wbg_ptr);
        var v1 = getArrayU32FromWasm0(ret[0], ret[1]).slice();
        wasm.__wbindgen_free(ret[0], ret[1] * 4, 4);
        return v1;
    }
    /**
     * The sets of a layer at its start. See [`seeded::Seeded::largest`].
     * @param {number} forward_nnz
     * @param {number} nnz
     * @returns {Pattern}
     */
    first(forward_nnz, nnz) {
        const ret = wasm.seeded_first(this.__wbg_ptr, forward_nnz, nnz);
        if (ret[2]) {
            throw takeFromExternrefTable0(ret[1]);
        }
        return Pattern.__wrap(ret[0]);
    }
    /**
     * @returns {Uint32Array}
     */
    frozenIndices() {
        const ret = wasm.seeded_frozenIndices(this.__wbg_ptr);
        var v1 = getArrayU32FromWasm0(ret[0], ret[1]).slice();
        wasm.__wbindgen_free(ret[0], ret[1] * 4, 4);
        return v1;
    }
    /**
     * @returns {Float32Array}
     */
    frozenValues() {
        const ret = wasm.seeded_frozenValues(this.__wbg_ptr);
        var v1 = getArrayF32FromWasm0(ret[0], ret[1]).slice();
        wasm.__wbindgen_free(ret[0], ret[1] * 4, 4);
        return v1;
    }
    /**
     * The arguments after `cols` as for [`draw()`].
     * @param {number} rows
     * @param {number} cols
     * @param {number} key
     * @param {number} spread
     * @param {number} first
     * @param {number} second
     * @param {number} alpha
     * @param {number} max_frozen
     */
    constructor(rows, cols, key, spread, first, second, alpha, max_frozen) {
        const ret = wasm.seeded_new(rows, cols, key, spread, first, second, alpha, max_frozen);
        this.__wbg_ptr = ret;
        SeededFinalization.register(this, this.__wbg_ptr, this);
        return this;
    }
    /**
     * The sets after B was trained, which has its `values` at that address.
     * @param {Pattern} b
     * @param {number} values
     * @param {number} forward_nnz
     * @returns {Pattern}
     */
    next(b, values, forward_nnz) {
        _assertClass(b, Pattern);
        const ret = wasm.seeded_next(this.__wbg_ptr, b.__wbg_ptr, values, forward_nnz);
        if (ret[2]) {
            throw takeFromExternrefTable0(ret[1]);
        }
        return Pattern.__wrap(ret[0]);
    }
    /**
     * `cursor` is empty or (bits of the magnitude, index).
     * @param {Uint32Array | number[]} indices
     * @param {Float32Array | number[]} values
     * @param {Uint32Array | number[]} cursor
     */
    restore(indices, values, cursor) {
        let ptr0, len0, ptr1, len1, ptr2, len2;
        try {
            ptr0 = passArray32ToWasm0(indices, wasm.__wbindgen_malloc);
            len0 = WASM_VECTOR_LEN;
            ptr1 = passArrayF32ToWasm0(values, wasm.__wbindgen_malloc);
            len1 = WASM_VECTOR_LEN;
            ptr2 = passArray32ToWasm0(cursor, wasm.__wbindgen_malloc);
            len2 = WASM_VECTOR_LEN;
        } catch (e) {
            if (ptr2) { wasm.__wbindgen_free(ptr2, len2 * 4, 4); }
            if (ptr1) { wasm.__wbindgen_free(ptr1, len1 * 4, 4); }
            if (ptr0) { wasm.__wbindgen_free(ptr0, len0 * 4, 4); }
            throw e;
        }
        const ret = wasm.seeded_restore(this.__wbg_ptr, ptr0, len0, ptr1, len1, ptr2, len2);
        if (ret[1]) {
            throw takeFromExternrefTable0(ret[0]);
        }
    }
    /**
     * The values of the sets found last, in the order of their pattern; once.
     * @returns {Float32Array}
     */
    takeValues() {
        const ret = wasm.seeded_takeValues(this.__wbg_ptr);
        var v1 = getArrayF32FromWasm0(ret[0], ret[1]).slice();
        wasm.__wbindgen_free(ret[0], ret[1] * 4, 4);
        return v1;
    }
    /**
     * The whole vector to `theta [rows·cols]`, for those who want to look at it. See [`seeded::Seeded::whole`].
     * @param {Pattern} b
     * @param {number} values
     * @param {number} theta
     */
    whole(b, values, theta) {
        _assertClass(b, Pattern);
        wasm.seeded_whole(this.__wbg_ptr, b.__wbg_ptr, values, theta);
    }
}
if (Symbol.dispose) Seeded.prototype[Symbol.dispose] = Seeded.prototype.free;

/**
 * See [`optimizer::adam`].
 * @param {number} values
 * @param {number} gradients
 * @param {number} next
 * @param {number} m
 * @param {number} v
 * @param {number} steps
 * @param {number} n
 * @param {number} learning_rate
 * @param {number} beta1
 * @param {number} beta2
 * @param {number} epsilon
 */
export function adam(values, gradients, next, m, v, steps, n, learning_rate, beta1, beta2, epsilon) {
    wasm.adam(values, gradients, next, m, v, steps, n, learning_rate, beta1, beta2, epsilon);
}

/**
 * Adds to `d_bias`; `dy` is `lines·out` rows of panels. See [`backward::bias`].
 * @param {number} dy
 * @param {number} d_bias
 * @param {number} lines
 * @param {number} out
 */
export function addBias(dy, d_bias, lines, out) {
    wasm.addBias(dy, d_bias, lines, out);
}

/**
 * The address of `bytes` (> 0) bytes, on a cache line of their own; 0 when memory is exhausted. What is in them is anyone's guess unless `zeroed`.
 * @param {number} bytes
 * @param {boolean} zeroed
 * @returns {number}
 */
export function allocate(bytes, zeroed) {
    const ret = wasm.allocate(bytes, zeroed);
    return ret >>> 0;
}

/**
 * All gradients of [`forward()`] in one call, on panels. `y` is its output where it ended in relu, else 0; `dx` is 0 where not wanted.
 * See [`Backward`].
 * @param {Pattern} pattern
 * @param {number} batch
 * @param {number} x
 * @param {number} values
 * @param {number} y
 * @param {number} dy
 * @param {number} dx
 * @param {number} d_values
 * @param {number} d_bias
 * @param {number} decay_forward
 * @param {number} decay_rest
 */
export function backward(pattern, batch, x, values, y, dy, dx, d_values, d_bias, decay_forward, decay_rest) {
    _assertClass(pattern, Pattern);
    wasm.backward(pattern.__wbg_ptr, batch, x, values, y, dy, dx, d_values, d_bias, decay_forward, decay_rest);
}

/**
 * See [`edit::carry`].
 * @param {number} from
 * @param {number} from_length
 * @param {number} source
 * @param {number} to
 * @param {number} length
 */
export function carry(from, from_length, source, to, length) {
    wasm.carry(from, from_length, source, to, length);
}

/**
 * Adds to `dw` or overwrites it. See [`conv_dense::filter_gradient`].
 * @param {Uint32Array | number[]} numbers
 * @param {number} batch
 * @param {number} x
 * @param {number} dy
 * @param {boolean} add
 * @param {number} dw
 */
export function convFilterGradient(numbers, batch, x, dy, add, dw) {
    const ptr0 = passArray32ToWasm0(numbers, wasm.__wbindgen_malloc);
    const len0 = WASM_VECTOR_LEN;
    wasm.convFilterGradient(ptr0, len0, batch, x, dy, add, dw);
}

/**
 * `bias` 0 for none. See [`conv_dense::forward`].
 * @param {Uint32Array | number[]} numbers
 * @param {number} batch
 * @param {number} x
 * @param {number} w
 * @param {number} bias
 * @param {boolean} relu
 * @param {number} y
 */
export function convForward(numbers, batch, x, w, bias, relu, y) {
    const ptr0 = passArray32ToWasm0(numbers, wasm.__wbindgen_malloc);
    const len0 = WASM_VECTOR_LEN;
    wasm.convForward(ptr0, len0, batch, x, w, bias, relu, y);
}

/**
 * See [`conv_dense::input_gradient`].
 * @param {Uint32Array | number[]} numbers
 * @param {number} batch
 * @param {number} dy
 * @param {number} w
 * @param {number} dx
 */
export function convInputGradient(numbers, batch, dy, w, dx) {
    const ptr0 = passArray32ToWasm0(numbers, wasm.__wbindgen_malloc);
    const len0 = WASM_VECTOR_LEN;
    wasm.convInputGradient(ptr0, len0, batch, dy, w, dx);
}

/**
 * `c [m, n] = act(op(a)·op(b) + bias)` with `k` terms; `bias` 0 for none. See [`dense::dense`].
 * @param {number} m
 * @param {number} n
 * @param {number} k
 * @param {boolean} transpose_a
 * @param {boolean} transpose_b
 * @param {number} a
 * @param {number} b
 * @param {number} bias
 * @param {boolean} relu
 * @param {number} c
 */
export function dense(m, n, k, transpose_a, transpose_b, a, b, bias, relu, c) {
    wasm.dense(m, n, k, transpose_a, transpose_b, a, b, bias, relu, c);
}

/**
 * Adds to `dw` or overwrites it. See [`depthwise::filter_gradient`].
 * @param {Uint32Array | number[]} numbers
 * @param {number} batch
 * @param {number} x
 * @param {number} dy
 * @param {boolean} add
 * @param {number} dw
 */
export function depthwiseFilterGradient(numbers, batch, x, dy, add, dw) {
    const ptr0 = passArray32ToWasm0(numbers, wasm.__wbindgen_malloc);
    const len0 = WASM_VECTOR_LEN;
    wasm.depthwiseFilterGradient(ptr0, len0, batch, x, dy, add, dw);
}

/**
 * See [`depthwise::input_gradient`].
 * @param {Uint32Array | number[]} numbers
 * @param {number} batch
 * @param {number} dy
 * @param {number} w
 * @param {number} dx
 */
export function depthwiseInputGradient(numbers, batch, dy, w, dx) {
    const ptr0 = passArray32ToWasm0(numbers, wasm.__wbindgen_malloc);
    const len0 = WASM_VECTOR_LEN;
    wasm.depthwiseInputGradient(ptr0, len0, batch, dy, w, dx);
}

/**
 * Overwrites the flat indices at `values [n]` with their initial values. `spread` is 0 for uniform in [first, second), 1 for normal and 2 for
 * truncated normal with mean `first` and deviation `second`. See [`Source::value`].
 * @param {number} values
 * @param {number} n
 * @param {number} key
 * @param {number} spread
 * @param {number} first
 * @param {number} second
 * @param {number} alpha
 */
export function draw(values, n, key, spread, first, second, alpha) {
    wasm.draw(values, n, key, spread, first, second, alpha);
}

/**
 * See [`kernels::flush`].
 * @param {number} numbers
 * @param {number} n
 */
export function flush(numbers, n) {
    wasm.flush(numbers, n);
}

/**
 * `x` and `y` are panels, `bias` is 0 for none, `tile` a place in [`Tile::ALL`]. See [`Forward`].
 * @param {Pattern} pattern
 * @param {number} batch
 * @param {number} x
 * @param {number} values
 * @param {number} bias
 * @param {number} y
 * @param {boolean} relu
 * @param {number} tile
 */
export function forward(pattern, batch, x, values, bias, y, relu, tile) {
    _assertClass(pattern, Pattern);
    wasm.forward(pattern.__wbg_ptr, batch, x, values, bias, y, relu, tile);
}

/**
 * See [`edit::gather`].
 * @param {Pattern} pattern
 * @param {number} theta
 * @param {number} values
 */
export function gather(pattern, theta, values) {
    _assertClass(pattern, Pattern);
    wasm.gather(pattern.__wbg_ptr, theta, values);
}

/**
 * What the two before stream, unlooked at. For benches. See [`gradient::product_alone`].
 * @param {number} rows
 * @param {number} cols
 * @param {number} batch
 * @param {number} x
 * @param {number} dy
 * @returns {number}
 */
export function gradientProduct(rows, cols, batch, x, dy) {
    const ret = wasm.gradientProduct(rows, cols, batch, x, dy);
    return ret;
}

/**
 * Writes sum, maximum, norm and count to `out [4]` of f64. See [`gradient::reduce`].
 * @param {Pattern} pattern
 * @param {number} batch
 * @param {number} x
 * @param {number} dy
 * @param {number} threshold
 * @param {number} out
 */
export function gradientReduce(pattern, batch, x, dy, threshold, out) {
    _assertClass(pattern, Pattern);
    wasm.gradientReduce(pattern.__wbg_ptr, batch, x, dy, threshold, out);
}

/**
 * Writes the best candidates for growth to `rows`, `cols` and `gradients` (each `[k]`) and returns how many there are.
 * See [`gradient::top_k`].
 * @param {Pattern} pattern
 * @param {number} batch
 * @param {number} x
 * @param {number} dy
 * @param {number} k
 * @param {number} floor
 * @param {number} rows
 * @param {number} cols
 * @param {number} gradients
 * @returns {number}
 */
export function gradientTopK(pattern, batch, x, dy, k, floor, rows, cols, gradients) {
    _assertClass(pattern, Pattern);
    const ret = wasm.gradientTopK(pattern.__wbg_ptr, batch, x, dy, k, floor, rows, cols, gradients);
    if (ret[2]) {
        throw takeFromExternrefTable0(ret[1]);
    }
    return ret[0] >>> 0;
}

/**
 * Bytes that are allocated in this module's memory now.
 * @returns {number}
 */
export function liveBytes() {
    const ret = wasm.liveBytes();
    return ret >>> 0;
}

/**
 * The positions of the `k` lowest of `n` scores. See [`edit::lowest`].
 * @param {number} scores
 * @param {number} n
 * @param {number} k
 * @returns {Uint32Array}
 */
export function lowest(scores, n, k) {
    const ret = wasm.lowest(scores, n, k);
    if (ret[3]) {
        throw takeFromExternrefTable0(ret[2]);
    }
    var v1 = getArrayU32FromWasm0(ret[0], ret[1]).slice();
    wasm.__wbindgen_free(ret[0], ret[1] * 4, 4);
    return v1;
}

/**
 * See [`edit::lowest_of_each_sign`].
 * @param {number} weights
 * @param {number} n
 * @param {number} fraction
 * @returns {Uint32Array}
 */
export function lowestOfEachSign(weights, n, fraction) {
    const ret = wasm.lowestOfEachSign(weights, n, fraction);
    if (ret[3]) {
        throw takeFromExternrefTable0(ret[2]);
    }
    var v1 = getArrayU32FromWasm0(ret[0], ret[1]).slice();
    wasm.__wbindgen_free(ret[0], ret[1] * 4, 4);
    return v1;
}

/**
 * See [`pool::max_gradient`].
 * @param {Uint32Array | number[]} numbers
 * @param {number} batch
 * @param {number} x
 * @param {number} dy
 * @param {number} dx
 */
export function maxPoolGradient(numbers, batch, x, dy, dx) {
    const ptr0 = passArray32ToWasm0(numbers, wasm.__wbindgen_malloc);
    const len0 = WASM_VECTOR_LEN;
    wasm.maxPoolGradient(ptr0, len0, batch, x, dy, dx);
}

/**
 * See [`optimizer::momentum`].
 * @param {number} values
 * @param {number} gradients
 * @param {number} next
 * @param {number} m
 * @param {number} n
 * @param {number} learning_rate
 * @param {number} mu
 * @param {boolean} nesterov
 */
export function momentum(values, gradients, next, m, n, learning_rate, mu, nesterov) {
    wasm.momentum(values, gradients, next, m, n, learning_rate, mu, nesterov);
}

/**
 * See [`pack::pack`].
 * @param {number} rows
 * @param {number} to
 * @param {number} batch
 * @param {number} features
 */
export function pack(rows, to, batch, features) {
    wasm.pack(rows, to, batch, features);
}

/**
 * See [`peak::peak`]; returns the number of floating-point operations done, or NaN should the sum vanish.
 * @param {number} iterations
 * @param {number} x
 * @param {number} y
 * @returns {number}
 */
export function peak(iterations, x, y) {
    const ret = wasm.peak(iterations, x, y);
    return ret;
}

/**
 * See [`power::power`].
 * @param {number} phi
 * @param {number} theta
 * @param {number} n
 * @param {number} alpha
 */
export function power(phi, theta, n, alpha) {
    wasm.power(phi, theta, n, alpha);
}

/**
 * See [`power::gradient`].
 * @param {number} phi
 * @param {number} d_theta
 * @param {number} d_phi
 * @param {number} n
 * @param {number} alpha
 */
export function powerGradient(phi, d_theta, d_phi, n, alpha) {
    wasm.powerGradient(phi, d_theta, d_phi, n, alpha);
}

/**
 * Gives back what [`allocate`] returned for as many bytes.
 * @param {number} at
 * @param {number} bytes
 */
export function release(at, bytes) {
    wasm.release(at, bytes);
}

/**
 * See [`edit::scatter`].
 * @param {Pattern} pattern
 * @param {number} values
 * @param {number} theta
 */
export function scatter(pattern, values, theta) {
    _assertClass(pattern, Pattern);
    wasm.scatter(pattern.__wbg_ptr, values, theta);
}

/**
 * See [`optimizer::sgd`].
 * @param {number} values
 * @param {number} gradients
 * @param {number} next
 * @param {number} n
 * @param {number} learning_rate
 */
export function sgd(values, gradients, next, n, learning_rate) {
    wasm.sgd(values, gradients, next, n, learning_rate);
}

/**
 * Writes where each entry of `next` was in `previous` to `source [nnz of next]`; says whether anything moved. See [`edit::sources`].
 * @param {Pattern} previous
 * @param {Pattern} next
 * @param {number} source
 * @returns {boolean}
 */
export function sources(previous, next, source) {
    _assertClass(previous, Pattern);
    _assertClass(next, Pattern);
    const ret = wasm.sources(previous.__wbg_ptr, next.__wbg_ptr, source);
    return ret !== 0;
}

/**
 * See [`power::theta_gradient`].
 * @param {number} phi
 * @param {number} d_phi
 * @param {number} d_theta
 * @param {number} n
 * @param {number} alpha
 */
export function thetaGradient(phi, d_phi, d_theta, n, alpha) {
    wasm.thetaGradient(phi, d_phi, d_theta, n, alpha);
}

/**
 * Begins to look for the `k` largest magnitudes among `n` values. See [`Selection::new`].
 * @param {number} sample
 * @param {number} length
 * @param {number} n
 * @param {number} k
 */
export function topK(sample, length, n, k) {
    wasm.topK(sample, length, n, k);
}

/**
 * Looks at the next values; returns where to go on, or −1 once `out [k]` has the indices. See [`Selection::look`].
 * @param {number} values
 * @param {number} length
 * @param {number} out
 * @param {number} k
 * @returns {number}
 */
export function topKOf(values, length, out, k) {
    const ret = wasm.topKOf(values, length, out, k);
    if (ret[2]) {
        throw takeFromExternrefTable0(ret[1]);
    }
    return ret[0];
}

/**
 * See [`pack::unpack`].
 * @param {number} from
 * @param {number} rows
 * @param {number} batch
 * @param {number} features
 */
export function unpack(from, rows, batch, features) {
    wasm.unpack(from, rows, batch, features);
}

/**
 * See [`backward::where_positive`].
 * @param {number} dy
 * @param {number} y
 * @param {number} length
 */
export function wherePositive(dy, y, length) {
    wasm.wherePositive(dy, y, length);
}
function __wbg_get_imports() {
    const import0 = {
        __proto__: null,
        __wbg_Error_208446807d0d1e30: function(arg0, arg1) {
            const ret = Error(getStringFromWasm0(arg0, arg1));
            return ret;
        },
        __wbg___wbindgen_throw_4c88d8bf264fd984: function(arg0, arg1) {
            throw new Error(getStringFromWasm0(arg0, arg1));
        },
        __wbindgen_init_externref_table: function() {
            const table = wasm.__wbindgen_externrefs;
            table.set(0, undefined);
            table.set(1024, undefined);
            table.set(1025, null);
            table.set(1026, true);
            table.set(1027, false);
        },
    };
    return {
        __proto__: null,
        "./kernels_bg.js": import0,
    };
}

const ConvolutionFinalization = (typeof FinalizationRegistry === 'undefined')
    ? { register: () => {}, unregister: () => {} }
    : new FinalizationRegistry(ptr => wasm.__wbg_convolution_free(ptr, 1));
const PatternFinalization = (typeof FinalizationRegistry === 'undefined')
    ? { register: () => {}, unregister: () => {} }
    : new FinalizationRegistry(ptr => wasm.__wbg_pattern_free(ptr, 1));
const SeededFinalization = (typeof FinalizationRegistry === 'undefined')
    ? { register: () => {}, unregister: () => {} }
    : new FinalizationRegistry(ptr => wasm.__wbg_seeded_free(ptr, 1));

function _assertClass(instance, klass) {
    if (!(instance instanceof klass)) {
        throw new Error(`expected instance of ${klass.name}`);
    }
}

function getArrayF32FromWasm0(ptr, len) {
    ptr = ptr >>> 0;
    return getFloat32ArrayMemory0().subarray(ptr / 4, ptr / 4 + len);
}

function getArrayU16FromWasm0(ptr, len) {
    ptr = ptr >>> 0;
    return getUint16ArrayMemory0().subarray(ptr / 2, ptr / 2 + len);
}

function getArrayU32FromWasm0(ptr, len) {
    ptr = ptr >>> 0;
    return getUint32ArrayMemory0().subarray(ptr / 4, ptr / 4 + len);
}

let cachedFloat32ArrayMemory0 = null;
function getFloat32ArrayMemory0() {
    if (cachedFloat32ArrayMemory0 === null || cachedFloat32ArrayMemory0.byteLength === 0) {
        cachedFloat32ArrayMemory0 = new Float32Array(wasm.memory.buffer);
    }
    return cachedFloat32ArrayMemory0;
}

function getStringFromWasm0(ptr, len) {
    ptr = ptr >>> 0;
    return decodeText(getUint8ArrayMemory0().subarray(ptr, ptr + len));
}

let cachedUint16ArrayMemory0 = null;
function getUint16ArrayMemory0() {
    if (cachedUint16ArrayMemory0 === null || cachedUint16ArrayMemory0.byteLength === 0) {
        cachedUint16ArrayMemory0 = new Uint16Array(wasm.memory.buffer);
    }
    return cachedUint16ArrayMemory0;
}

let cachedUint32ArrayMemory0 = null;
function getUint32ArrayMemory0() {
    if (cachedUint32ArrayMemory0 === null || cachedUint32ArrayMemory0.byteLength === 0) {
        cachedUint32ArrayMemory0 = new Uint32Array(wasm.memory.buffer);
    }
    return cachedUint32ArrayMemory0;
}

let cachedUint8ArrayMemory0 = null;
function getUint8ArrayMemory0() {
    if (cachedUint8ArrayMemory0 === null || cachedUint8ArrayMemory0.byteLength === 0) {
        cachedUint8ArrayMemory0 = new Uint8Array(wasm.memory.buffer);
    }
    return cachedUint8ArrayMemory0;
}

function passArray32ToWasm0(arg, malloc) {
    const ptr = malloc(arg.length * 4, 4) >>> 0;
    getUint32ArrayMemory0().set(arg, ptr / 4);
    WASM_VECTOR_LEN = arg.length;
    return ptr;
}

function passArrayF32ToWasm0(arg, malloc) {
    const ptr = malloc(arg.length * 4, 4) >>> 0;
    getFloat32ArrayMemory0().set(arg, ptr / 4);
    WASM_VECTOR_LEN = arg.length;
    return ptr;
}

function takeFromExternrefTable0(idx) {
    const value = wasm.__wbindgen_externrefs.get(idx);
    wasm.__externref_table_dealloc(idx);
    return value;
}

let cachedTextDecoder = new TextDecoder('utf-8', { ignoreBOM: true });
cachedTextDecoder.decode();
const MAX_SAFARI_DECODE_BYTES = 2146435072;
let numBytesDecoded = 0;
function decodeText(bytes) {
    numBytesDecoded += bytes.length;
    if (numBytesDecoded >= MAX_SAFARI_DECODE_BYTES) {
        cachedTextDecoder = new TextDecoder('utf-8', { ignoreBOM: true });
        cachedTextDecoder.decode();
        numBytesDecoded = bytes.length;
    }
    return cachedTextDecoder.decode(bytes);
}

let WASM_VECTOR_LEN = 0;

let wasmModule, wasmInstance, wasm;
function __wbg_finalize_init(instance, module) {
    wasmInstance = instance;
    wasm = instance.exports;
    wasmModule = module;
    cachedFloat32ArrayMemory0 = null;
    cachedUint16ArrayMemory0 = null;
    cachedUint32ArrayMemory0 = null;
    cachedUint8ArrayMemory0 = null;
    wasm.__wbindgen_start();
    return wasm;
}

async function __wbg_load(module, imports) {
    if (typeof Response === 'function' && module instanceof Response) {
        if (!module.ok) {
            throw new Error(`failed to fetch Wasm: ${module.status} ${module.statusText} fetching '${module.url}'`);
        }

        if (typeof WebAssembly.instantiateStreaming === 'function') {
            try {
                return await WebAssembly.instantiateStreaming(module, imports);
            } catch (e) {
                const validResponse = expectedResponseType(module.type);

                if (validResponse && module.headers.get('Content-Type') !== 'application/wasm') {
                    console.warn("`WebAssembly.instantiateStreaming` failed because your server does not serve Wasm with `application/wasm` MIME type. Falling back to `WebAssembly.instantiate` which is slower. Original error:\n", e);

                } else { throw e; }
            }
        }

        const bytes = await module.arrayBuffer();
        return await WebAssembly.instantiate(bytes, imports);
    } else {
        const instance = await WebAssembly.instantiate(module, imports);

        if (instance instanceof WebAssembly.Instance) {
            return { instance, module };
        } else {
            return instance;
        }
    }

    function expectedResponseType(type) {
        switch (type) {
            case 'basic': case 'cors': case 'default': return true;
        }
        return false;
    }
}

function initSync(module) {
    if (wasm !== undefined) return wasm;


    ({module} = module)

    const imports = __wbg_get_imports();
    if (!(module instanceof WebAssembly.Module)) {
        module = new WebAssembly.Module(module);
    }
    const instance = new WebAssembly.Instance(module, imports);
    return __wbg_finalize_init(instance, module);
}

let __wbg_init_promise;
async function __wbg_init(module_or_path) {
    if (wasm !== undefined) return wasm;
    if (__wbg_init_promise === undefined) {
        __wbg_init_promise = __wbg_init_once(module_or_path);
        __wbg_init_promise.catch(() => { __wbg_init_promise = undefined; });
    }
    return __wbg_init_promise;
}

async function __wbg_init_once(module_or_path) {

    if (module_or_path !== undefined) {
        if (Object.getPrototypeOf(module_or_path) === Object.prototype) {
            ({module_or_path} = module_or_path)
        } else {
            console.warn('using deprecated parameters for the initialization function; pass a single object instead')
        }
    }


    const imports = __wbg_get_imports();

    if (typeof module_or_path === 'string' || (typeof Request === 'function' && module_or_path instanceof Request) || (typeof URL === 'function' && module_or_path instanceof URL)) {
        module_or_path = fetch(module_or_path);
    }

    const { instance, module } = await __wbg_load(await module_or_path, imports);

    return __wbg_finalize_init(instance, module);
}

export { initSync, __wbg_init as default };

export const STAMP = '9e34f527159e49bb';
