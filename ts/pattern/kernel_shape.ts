// How the kernel of a layer of tfjs lies in a pattern. Not for vectors such as biases.

/**
 * The shape of tfjs's kernel: `[in, units]` of a dense layer; `[height, width, channels, filters]`, in one dimension `[size, channels, filters]`, of a
 * convolution. A pattern of the first has rows = units: W `[units, in]`, the kernel transposed, since a row then holds the connections of one unit. That
 * of the second is the kernel itself as `[height·width·channels, filters]`: its flat indices are positions in tfjs's kernel.
 */
export type KernelShape = readonly number[];

/** Rows and columns of a pattern for such a kernel. */
export function patternShape(shape: KernelShape): { rows: number; cols: number } {
  const [rows, cols] = [product(shape.slice(0, -1)), shape[shape.length - 1]];
  return unitsAreRows(shape) ? { rows: cols, cols: rows } : { rows, cols };
}

/** Whether the units of a layer are the rows of its pattern. Those of a convolution, its filters, are columns. */
export function unitsAreRows(shape: KernelShape): boolean {
  return shape.length === 2;
}

/** Units or filters: as many as a layer has biases. */
export function unitsOf(shape: KernelShape): number {
  return shape[shape.length - 1];
}

/** Features that come in, in a convolution at each place of the window. */
export function featuresOf(shape: KernelShape): number {
  return shape[shape.length - 2];
}

/** Weights that lead to a unit, and from a feature, where none is missing; as tfjs counts them. */
export function fansOf(shape: KernelShape): { fanIn: number; fanOut: number } {
  const places = product(shape.slice(0, -2));
  return { fanIn: places * featuresOf(shape), fanOut: places * unitsOf(shape) };
}

/** Numbers by flat index in the pattern from those of tfjs's kernel; a copy. */
export function fromKernel(kernel: ArrayLike<number>, shape: KernelShape): Float32Array {
  return unitsAreRows(shape) ? transposed(kernel, shape[0], shape[1]) : Float32Array.from(kernel);
}

/** Numbers of tfjs's kernel from those by flat index in the pattern; a copy. */
export function toKernel(numbers: ArrayLike<number>, shape: KernelShape): Float32Array {
  return unitsAreRows(shape) ? transposed(numbers, shape[1], shape[0]) : Float32Array.from(numbers);
}

function transposed(matrix: ArrayLike<number>, rows: number, cols: number): Float32Array {
  const result = new Float32Array(rows * cols);
  for (let row = 0; row < rows; row++) for (let col = 0; col < cols; col++) result[col * rows + row] = matrix[row * cols + col];
  return result;
}

function product(dims: readonly number[]): number {
  return dims.reduce((a, b) => a * b, 1);
}
