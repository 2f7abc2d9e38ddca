import { expect, test } from 'vitest';
import { readDataset } from '../../ts/cli/idx.js';
import { FileError } from '../../ts/errors.js';
import { dataFolder, idx } from '../support/idx.js';

type Files = Record<string, Uint8Array>;

test.each([false, true])('reads the four files (gzipped: %s)', async (zipped) => {
  const { train, test, features, size, classes } = await readDataset(await dataFolder(undefined, zipped));
  expect([train.count, test.count, features, ...size, classes]).toEqual([400, 100, 64, 8, 8, 4]);
  expect(train.images).toHaveLength(400 * 64);
});

const images = 'train-images-idx3-ubyte';
const labels = 'train-labels-idx1-ubyte';

test.each<[string, (files: Files) => void, RegExp]>([
  ['a missing file', (files) => delete files[images], /expected a file train-images-idx\*-ubyte or .* found none/],
  ['a truncated file', (files) => (files[images] = files[images].slice(0, 1000)), /expected 25616 bytes for 400×8×8, received 1000/],
  ['a longer file', (files) => (files[labels] = new Uint8Array([...files[labels], 1])), /expected 408 bytes for 400, received 409/],
  ['an empty file', (files) => (files[labels] = new Uint8Array()), /magic number 0x00000801, received 0 bytes/],
  ['a cut header', (files) => (files[images] = files[images].slice(0, 10)), /expected a header of 16 bytes, received 10/],
  ['a wrong magic number', (files) => (files[labels][3] = 3), /magic number 0x00000801, received 0x00000803/],
  ['as many labels as not', (files) => (files[labels] = idx([399], new Uint8Array(399))), /400 train images, but 399 labels/],
  ['images of two sizes', (files) => (files['t10k-images-idx3-ubyte'] = idx([100, 2, 2], new Uint8Array(400))), /64 pixels, test images 4/],
  ['a class that training does not know', (files) => files['t10k-labels-idx1-ubyte'].fill(9, 8), /test labels hold class 9/],
  [
    'nothing at all',
    (files) => Object.assign(files, { [images]: idx([0, 8, 8], new Uint8Array()), [labels]: idx([0], new Uint8Array()) }),
    /no train images/,
  ],
  ['broken gzip', (files) => (files[labels] = Uint8Array.of(0x1f, 0x8b, 1, 2, 3)), /expected gzip data/],
])('refuses %s', async (_, change, message) => {
  const folder = await dataFolder(change);
  await expect(readDataset(folder)).rejects.toThrow(FileError);
  await expect(readDataset(folder)).rejects.toThrow(message);
});

test('refuses a folder that is not there', async () => {
  await expect(readDataset('/nowhere/at/all')).rejects.toThrow('/nowhere/at/all: cannot be read (ENOENT)');
});
