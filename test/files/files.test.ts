import { mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { beforeEach, expect, test } from 'vitest';
import { FileError } from '../../ts/errors.js';
import { writeFolder } from '../../ts/files/atomic.js';
import '../../ts/files/files.node.js';
import { tf, tfl } from '../support/tf.js';

let folder: string;
const url = (name: string) => pathToFileURL(join(folder, name)).href;

beforeEach(async () => {
  await tf.setBackend('cpu');
  folder = await mkdtemp(join(tmpdir(), 'files-'));
});

const model = () => tfl.sequential({ layers: [tfl.layers.dense({ units: 3, inputShape: [2] })] });

test('file:// saves and loads any tfjs model, by folder or by model.json', async () => {
  const saved = model();
  await saved.save(url('a b'));
  expect((await readdir(folder)).sort()).toEqual(['a b']);
  for (const name of ['a b', 'a b/model.json']) {
    const loaded = await tfl.loadLayersModel(url(name));
    const x = tf.ones([1, 2]);
    expect((loaded.predict(x) as tf.Tensor).dataSync()).toEqual((saved.predict(x) as tf.Tensor).dataSync());
  }
});

test('saving again replaces the folder', async () => {
  await model().save(url('m'));
  const second = model();
  await second.save(url('m'));
  const loaded = await tfl.loadLayersModel(url('m'));
  expect(loaded.getWeights()[0].dataSync()).toEqual(second.getWeights()[0].dataSync());
  expect(await readdir(folder)).toEqual(['m']);
});

test('what is broken is refused by name', async () => {
  await expect(tfl.loadLayersModel(url('none'))).rejects.toThrow(/none\/model.json: cannot be read \(ENOENT\)/);
  await model().save(url('m'));
  const json = join(folder, 'm', 'model.json');
  const weights = join(folder, 'm', 'weights.bin');
  const good = await readFile(json, 'utf8');
  await writeFile(weights, new Uint8Array(8));
  await expect(tfl.loadLayersModel(url('m'))).rejects.toThrow(/expected 36 bytes of weights, received 8/);
  await writeFile(json, '{');
  await expect(tfl.loadLayersModel(url('m'))).rejects.toThrow(/model.json: expected JSON/);
  await writeFile(json, '{}');
  await expect(tfl.loadLayersModel(url('m'))).rejects.toThrow(/modelTopology and weightsManifest/);
  await writeFile(json, good.replace('weights.bin', '../../../etc/passwd'));
  await expect(tfl.loadLayersModel(url('m'))).rejects.toThrow(/its weights lie outside its folder/);
});

test('a folder is there whole or not at all', async () => {
  const target = join(folder, 'whole');
  await writeFolder(target, { 'a.txt': 'old' });
  // The second file cannot be written: the first must not appear either, and the old folder stays.
  await expect(writeFolder(target, { 'a.txt': 'new', 'a.txt/b.txt': 'impossible' })).rejects.toThrow(FileError);
  expect(await readFile(join(target, 'a.txt'), 'utf8')).toBe('old');
  expect(await readdir(folder)).toEqual(['whole']);
});

test('a file in the place of the parent is named', async () => {
  await writeFile(join(folder, 'file'), '');
  await expect(writeFolder(join(folder, 'file', 'x'), { a: '' })).rejects.toThrow(/cannot be written \((ENOTDIR|EEXIST)\)/);
});
