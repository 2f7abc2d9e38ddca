import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type NamedArray, safetensors } from '../../ts/files/safetensors.js';

/** The format, read as its specification says. */
function parsed(file: Uint8Array) {
  const view = new DataView(file.buffer, file.byteOffset);
  const start = 8 + Number(view.getBigUint64(0, true));
  const { __metadata__: metadata, ...header } = JSON.parse(new TextDecoder().decode(file.subarray(8, start)));
  const tensors = Object.entries(header as Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }>).map(
    ([
      name,
      {
        dtype,
        shape,
        data_offsets: [begin, end],
      },
    ]) => {
      const read = (i: number) =>
        dtype === 'F32' ? view.getFloat32(start + begin + 4 * i, true) : view.getInt32(start + begin + 4 * i, true);
      return [name, { dtype, shape, begin, end, data: Array.from({ length: (end - begin) / 4 }, (_, i) => read(i)) }] as const;
    },
  );
  return { start, metadata, tensors };
}

test('a file by hand', () => {
  const file = safetensors({ a: { shape: [2], data: Float32Array.of(1.5, -2) }, b: { shape: [1, 1], data: Int32Array.of(7) } }, { f: 'x' });
  const header =
    '{"__metadata__":{"f":"x"},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"I32","shape":[1,1],"data_offsets":[8,12]}}';
  expect(header).toHaveLength(135);
  // 136 is the next multiple of 8.
  expect(Array.from(file.subarray(0, 8))).toEqual([136, 0, 0, 0, 0, 0, 0, 0]);
  expect(new TextDecoder().decode(file.subarray(8, 144))).toBe(`${header} `);
  expect(Array.from(file.subarray(144))).toEqual([0, 0, 0xc0, 0x3f, 0, 0, 0, 0xc0, 7, 0, 0, 0]);
});

test('whatever is written is read again, without gaps', () => {
  const array = fc.oneof(
    fc.array(fc.float({ noNaN: true }), { maxLength: 9 }).map((data) => Float32Array.from(data)),
    fc.array(fc.integer(), { maxLength: 9 }).map((data) => Int32Array.from(data)),
  );
  const name = fc.string().filter((text) => !['__metadata__', '__proto__'].includes(text));
  fc.assert(
    fc.property(
      fc.dictionary(name, array),
      fc.dictionary(
        fc.string().filter((key) => key !== '__proto__'),
        fc.string(),
      ),
      (arrays, metadata) => {
        const tensors: Record<string, NamedArray> = {};
        for (const [key, data] of Object.entries(arrays)) tensors[key] = { shape: [data.length], data };
        const file = safetensors(tensors, metadata);
        const read = parsed(file);
        expect(read.start % 8).toBe(0);
        expect(read.metadata).toEqual({ ...metadata });
        expect(new Map(read.tensors.map(([key, { data }]) => [key, data]))).toEqual(
          new Map(Object.entries(arrays).map(([key, data]) => [key, Array.from(data)])),
        );
        const total = read.tensors.reduce((at, [, { begin, end }]) => {
          expect(begin).toBe(at);
          return end;
        }, 0);
        expect(file.length).toBe(read.start + total);
      },
    ),
  );
});
