// What crosses between page and worker: numbers with a shape, and errors that arrive as what they were.

import { FileError, NotReadyError, OptionError, PatternError, ShapeError, WorkerError } from '../errors.js';

/** Numbers and their shape, row-major. Float32Array means float32, Int32Array int32. */
export interface Numbers {
  data: Float32Array | Int32Array;
  shape: number[];
}

/** As {@link Numbers}, or a tensor of tfjs. */
export type NumbersLike = Numbers | { readonly shape: number[]; readonly dtype: string; data(): Promise<unknown> };

/** Plain numbers of either, checked. */
export async function plain(what: string, numbers: NumbersLike): Promise<Numbers> {
  const { shape } = numbers ?? {};
  const data = typeof numbers?.data === 'function' ? await numbers.data() : numbers?.data;
  if (!(data instanceof Float32Array || data instanceof Int32Array)) {
    throw new OptionError(what, 'a tensor, or { data: Float32Array or Int32Array, shape }', data ?? numbers);
  }
  if (!Array.isArray(shape) || shape.reduce((a, b) => a * b, 1) !== data.length) {
    throw new OptionError(`${what} shape`, `one of ${data.length} elements`, shape);
  }
  // A view would take along, or give away, all that it is a view of; a tensor's own numbers are not to be given away.
  const own = typeof numbers.data !== 'function' && data.byteLength === data.buffer.byteLength;
  return { data: own ? data : data.slice(), shape };
}

/** An answer: a value, or what was thrown. */
export type Answer<T> = { value: T } | { error: WireError };

interface WireError {
  name: string;
  message: string;
  stack: string | undefined;
  cause: WireError | undefined;
  /** What it carries besides, as far as that can be cloned. */
  fields: Record<string, unknown>;
}

const classes: Record<string, new (...args: never[]) => Error> = {
  ...{ FileError, NotReadyError, OptionError, PatternError, ShapeError, WorkerError },
  ...{ EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError },
};

/** Causes of causes that go over; one may be its own. */
const DEPTH = 8;

export function toWire(error: unknown, depth = DEPTH): WireError {
  if (!(error instanceof Error)) return { name: 'Error', message: String(error), stack: undefined, cause: undefined, fields: {} };
  const { name, message, stack, cause } = error;
  const fields = Object.fromEntries(Object.entries(error).filter(([key, value]) => !(key in { name, cause }) && clonable(value)));
  return { name, message, stack, cause: cause === undefined || depth === 0 ? undefined : toWire(cause, depth - 1), fields };
}

function clonable(value: unknown): boolean {
  return (
    ['string', 'number', 'boolean'].includes(typeof value) ||
    (Array.isArray(value) && value.every((each) => each === null || clonable(each)))
  );
}

/** An error of the same class, where this side knows it, with the worker's stack. */
export function fromWire({ name, message, stack, cause, fields }: WireError): Error {
  // A real one, as engines see it, of the class in question.
  const error = Object.setPrototypeOf(
    new Error(message, cause && { cause: fromWire(cause) }),
    (Object.hasOwn(classes, name) ? classes[name] : Error).prototype,
  );
  const hidden = (value: unknown) => ({ value, writable: true, configurable: true, enumerable: false });
  if (stack !== undefined) Object.defineProperty(error, 'stack', hidden(stack));
  if (error.name !== name) Object.defineProperty(error, 'name', hidden(name));
  return Object.assign(error, fields);
}
