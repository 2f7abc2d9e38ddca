// Numbers that follow the entries of a pattern through an edit.

/** `values[source[i]]` for each i, and `fresh` (default 0) where `source` is −1, for entries that were not there before. */
export function carried<T extends Float32Array | Int32Array>(values: T, source: Int32Array, fresh = 0): T {
  const next = new (values.constructor as new (length: number) => T)(source.length);
  if (fresh !== 0) next.fill(fresh);
  for (let i = 0; i < next.length; i++) if (source[i] >= 0) next[i] = values[source[i]];
  return next;
}
