// The safetensors format (https://huggingface.co/docs/safetensors), written: what Python reads without knowing tfjs.

/** A tensor to be written, row-major. */
export interface NamedArray {
  shape: readonly number[];
  data: Float32Array | Int32Array;
}

/**
 * One file with `tensors` by name, in their order, and `metadata`: the length of the header as 8 bytes, the header as JSON, then the numbers, all
 * little-endian. The numbers begin at a multiple of 8 bytes and take 4 each, so that
 * readers may map the file into memory.
 */
export function safetensors(tensors: Readonly<Record<string, NamedArray>>, metadata: Readonly<Record<string, string>>): Uint8Array {
  const entries = Object.entries(tensors);
  const header: Record<string, unknown> = { __metadata__: metadata };
  let end = 0;
  for (const [name, { shape, data }] of entries) {
    const begin = end;
    end += data.byteLength;
    header[name] = { dtype: data instanceof Float32Array ? 'F32' : 'I32', shape, data_offsets: [begin, end] };
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  // Padded with spaces, as the format's own library does.
  const start = 8 + 8 * Math.ceil(json.length / 8);
  const file = new Uint8Array(start + end).fill(0x20, 8 + json.length, start);
  new DataView(file.buffer).setBigUint64(0, BigInt(start - 8), true);
  file.set(json, 8);
  let at = start;
  for (const [, { data }] of entries) {
    // The engines that run this are little-endian, as wasm itself.
    file.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += data.byteLength;
  }
  return file;
}
