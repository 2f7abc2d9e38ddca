// One IDX file (http://yann.lecun.com/exdb/mnist) from its bytes. Nothing of Node in here.

import { FileError } from '../errors.js';

const UNSIGNED_BYTE = 0x08;

/** Dimensions and elements of a file of bytes. `file` names it in errors: a FileError for anything but a whole IDX file of this rank. */
export function parseIdx(file: string, bytes: Uint8Array, rank: number): { dims: number[]; data: Uint8Array } {
  const header = 4 + 4 * rank;
  const magic = (UNSIGNED_BYTE << 8) | rank;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 4 || view.getUint32(0) !== magic) {
    const received = bytes.length < 4 ? `${bytes.length} bytes` : hex(view.getUint32(0));
    throw new FileError(`${file}: expected an IDX file with magic number ${hex(magic)}, received ${received}`);
  }
  if (bytes.length < header) throw new FileError(`${file}: expected a header of ${header} bytes, received ${bytes.length}`);
  const dims = Array.from({ length: rank }, (_, i) => view.getUint32(4 + 4 * i));
  const expected = header + dims.reduce((a, b) => a * b, 1);
  if (bytes.length !== expected) {
    throw new FileError(`${file}: expected ${expected} bytes for ${dims.join('×')}, received ${bytes.length}`);
  }
  return { dims, data: bytes.subarray(header) };
}

function hex(value: number): string {
  return `0x${value.toString(16).padStart(8, '0')}`;
}
