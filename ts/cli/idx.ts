// The IDX files of MNIST and its kin (http://yann.lecun.com/exdb/mnist), gzipped or not.

import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { FileError } from '../errors.js';
import { parseIdx } from './idx_bytes.js';

export interface Split {
  /** `[count·features]`, 0 to 255. */
  images: Uint8Array;
  labels: Uint8Array;
  count: number;
}

export interface Dataset {
  train: Split;
  test: Split;
  /** Pixels of an image, and its sides. */
  features: number;
  size: readonly [height: number, width: number];
  classes: number;
}

/** Reads `train-images`, `train-labels`, `t10k-images` and `t10k-labels` from a folder. */
export async function readDataset(folder: string): Promise<Dataset> {
  const names = await readdir(folder).catch((cause: NodeJS.ErrnoException) => {
    throw new FileError(`${folder}: cannot be read (${cause.code})`, { cause });
  });
  const train = await readSplit(folder, names, 'train');
  const test = await readSplit(folder, names, 't10k');
  if (train.features !== test.features) {
    throw new FileError(`${folder}: training images have ${train.features} pixels, test images ${test.features}`);
  }
  const classes = train.labels.reduce((most, label) => Math.max(most, label), 0) + 1;
  const beyond = test.labels.find((label) => label >= classes);
  if (beyond !== undefined) throw new FileError(`${folder}: test labels hold class ${beyond}, training labels only ${classes} classes`);
  return { train, test, features: train.features, size: train.size, classes };
}

async function readSplit(folder: string, names: string[], prefix: string): Promise<Split & Pick<Dataset, 'features' | 'size'>> {
  const images = await readIdx(folder, find(folder, names, `${prefix}-images`), 3);
  const labels = await readIdx(folder, find(folder, names, `${prefix}-labels`), 1);
  const [count, height, width] = images.dims;
  if (labels.dims[0] !== count) throw new FileError(`${folder}: ${count} ${prefix} images, but ${labels.dims[0]} labels`);
  if (count === 0) throw new FileError(`${folder}: no ${prefix} images`);
  return { images: images.data, labels: labels.data, count, features: height * width, size: [height, width] };
}

/** `train-images-idx3-ubyte`, `train-images.idx3-ubyte.gz` and the like. */
function find(folder: string, names: string[], stem: string): string {
  const name = names.filter((name) => name.startsWith(`${stem}-idx`) || name.startsWith(`${stem}.idx`)).sort()[0];
  if (!name) throw new FileError(`${folder}: expected a file ${stem}-idx*-ubyte or ${stem}-idx*-ubyte.gz, found none`);
  return name;
}

async function readIdx(folder: string, name: string, rank: number): Promise<{ dims: number[]; data: Uint8Array }> {
  const file = join(folder, name);
  let bytes: Uint8Array = await readFile(file).catch((cause: NodeJS.ErrnoException) => {
    throw new FileError(`${file}: cannot be read (${cause.code})`, { cause });
  });
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) {
    bytes = await promisify(gunzip)(bytes).catch((cause: Error) => {
      throw new FileError(`${file}: expected gzip data, received a broken file (${cause.message})`, { cause });
    });
  }
  return parseIdx(file, bytes, rank);
}
