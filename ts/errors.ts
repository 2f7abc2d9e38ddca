// What this package throws. Each names what was wrong, what was expected and what came.

/** A tensor or array has another shape than the call needs. */
export class ShapeError extends RangeError {
  override readonly name = 'ShapeError';
  constructor(
    what: string,
    readonly expected: readonly (number | string)[],
    readonly received: readonly (number | null)[],
  ) {
    super(`${what}: expected [${expected.join(', ')}], received [${received.map(String).join(', ')}]`);
  }
}

/** An option or argument is outside what it may be. */
export class OptionError extends RangeError {
  override readonly name = 'OptionError';
  constructor(
    what: string,
    readonly expected: string,
    readonly received: unknown,
    options?: ErrorOptions,
  ) {
    super(`${what}: expected ${expected}, received ${shown(received)}`, options);
  }
}

/** Arrays that do not describe a sparse matrix. */
export class PatternError extends RangeError {
  override readonly name = 'PatternError';
}

/** A file is missing, truncated or not what it claims to be. */
export class FileError extends Error {
  override readonly name = 'FileError';
}

/** The package was used in a browser before its wasm had arrived. */
export class NotReadyError extends Error {
  override readonly name = 'NotReadyError';
  constructor() {
    super('tfjs-sparse is still loading: `await ready()` (exported by tfjs-sparse) before the first sparse layer or op');
  }
}

/** A worker could not start, or is gone. */
export class WorkerError extends Error {
  override readonly name = 'WorkerError';
}

/** Refuses a number outside [min, max] (or (min, max] with `above`), by name. Returns it. */
export function checkNumber(what: string, value: unknown, min: number, max: number, above = false): number {
  if (typeof value !== 'number' || !(above ? value > min : value >= min) || !(value <= max) || value === Infinity) {
    const range = max === Infinity ? `a number ${above ? '>' : '>='} ${min}` : `a number in ${above ? '(' : '['}${min}, ${max}]`;
    throw new OptionError(what, range, value);
  }
  return value;
}

/** Refuses anything but a whole number of at least `min`, by name. Returns it. */
export function checkCount(what: string, value: unknown, min: number): number {
  if (!Number.isSafeInteger(value) || (value as number) < min) throw new OptionError(what, `a whole number >= ${min}`, value);
  return value as number;
}

/** Refuses anything but true and false, by name. Returns it. */
export function checkFlag(what: string, value: unknown): boolean {
  if (typeof value !== 'boolean') throw new OptionError(what, 'true or false', value);
  return value;
}

/** Refuses options that are not among `known`, by name. */
export function checkOptions(what: string, options: object, known: readonly string[]): void {
  const unknown = Object.keys(options).find((name) => !known.includes(name));
  if (unknown !== undefined) throw new OptionError(`${what} options`, `some of ${known.join(', ')}`, unknown);
}

function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(shown).join(', ')}]`;
  return typeof value === 'object' && value !== null ? value.constructor.name : String(value);
}
