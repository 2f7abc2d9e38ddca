import { mkdir, mkdtemp, readdir, readFile, rename, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, posix, win32 } from 'node:path';
import { pathToFileURL } from 'node:url';
import { beforeEach, describe, expect, test } from 'vitest';
import { FileError } from '../../ts/errors.js';
import { writeFolder, writeNewFile, writeNewFolder } from '../../ts/files/atomic.js';
import { liesIn } from '../../ts/files/files.node.js';
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

test('saving again replaces the model, and nothing else in its folder', async () => {
  await mkdir(join(folder, 'm', 'src'), { recursive: true });
  await writeFile(join(folder, 'm', 'labels.txt'), 'zero');
  for (const weights of ['weights.bin', 'weights.2.bin', 'weights.bin']) {
    const saved = model();
    await saved.save(url('m'));
    expect((await readdir(join(folder, 'm'))).sort()).toEqual(['labels.txt', 'model.json', 'src', weights].sort());
    const loaded = await tfl.loadLayersModel(url('m'));
    expect(loaded.getWeights()[0].dataSync()).toEqual(saved.getWeights()[0].dataSync());
  }
  expect(await readdir(folder)).toEqual(['m']);
});

test('of models saved to one folder at once the last one stays, whole', async () => {
  await model().save(url('m'));
  const saved = Array.from({ length: 5 }, model);
  await Promise.all(saved.map((each) => each.save(url('m'))));
  expect(await readdir(join(folder, 'm'))).toHaveLength(2);
  const loaded = await tfl.loadLayersModel(url('m'));
  expect(loaded.getWeights()[0].dataSync()).toEqual(saved[4].getWeights()[0].dataSync());
});

test('a model is saved to the folder of a model.json, and to no file', async () => {
  const saved = model();
  await saved.save(url('m/model.json'));
  expect((await readdir(join(folder, 'm'))).sort()).toEqual(['model.json', 'weights.bin']);
  await writeFile(join(folder, 'file'), 'mine');
  await expect(saved.save(url('file'))).rejects.toThrow(/file: cannot be written \(EEXIST\); something is there, and stays/);
  expect(await readFile(join(folder, 'file'), 'utf8')).toBe('mine');
});

test('a model stays whole when the next one cannot be written', async () => {
  const first = model();
  await first.save(url('m'));
  await mkdir(join(folder, 'm', 'weights.2.bin', 'in the way'), { recursive: true });
  await expect(model().save(url('m'))).rejects.toThrow(/weights.2.bin: cannot be written/);
  const loaded = await tfl.loadLayersModel(url('m'));
  expect(loaded.getWeights()[0].dataSync()).toEqual(first.getWeights()[0].dataSync());
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
  await writeFile(json, good.replace('"paths":["weights.bin"]', '"paths":[7]'));
  await expect(tfl.loadLayersModel(url('m'))).rejects.toThrow(/model.json: expected paths and weights in weightsManifest\[0\]/);
  await writeFile(json, good.replaceAll('float32', 'string'));
  await expect(tfl.loadLayersModel(url('m'))).rejects.toThrow(/model.json: weights of type string, .*, cannot be read/);
  await writeFile(json, good.replace('weights.bin', '../../../etc/passwd'));
  await expect(tfl.loadLayersModel(url('m'))).rejects.toThrow(/its weights lie outside its folder/);
});

test('weights may have any name, within the folder', async () => {
  const saved = model();
  await saved.save(url('m'));
  const json = join(folder, 'm', 'model.json');
  await writeFile(json, (await readFile(json, 'utf8')).replace('weights.bin', '..weights'));
  await rename(join(folder, 'm', 'weights.bin'), join(folder, 'm', '..weights'));
  const loaded = await tfl.loadLayersModel(url('m'));
  expect(loaded.getWeights()[0].dataSync()).toEqual(saved.getWeights()[0].dataSync());
});

test.each<[boolean, string, string, typeof posix]>([
  [true, '/m', '/m/weights.bin', posix],
  [true, '/m', '/m/..weights/a', posix],
  [false, '/m', '/', posix],
  [false, '/m', '/mine', posix],
  [true, 'C:\\m', 'C:\\m\\weights.bin', win32],
  [false, 'C:\\m', 'C:\\', win32],
  [false, 'C:\\m', 'C:\\mine', win32],
  [false, 'C:\\m', 'D:\\m\\weights.bin', win32],
])('%s: in %s lies %s', (expected, within, path, on) => {
  expect(liesIn(within, path, on)).toBe(expected);
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

test.skipIf(process.platform === 'win32')('a saved folder is as open to others as one that mkdir makes', async () => {
  await mkdir(join(folder, 'made'));
  const { mode } = await stat(join(folder, 'made'));
  await model().save(url('m'));
  await writeNewFolder(join(folder, 'new'), { 'sub/a.txt': '' });
  for (const name of ['m', 'new', 'new/sub']) expect((await stat(join(folder, name))).mode, name).toBe(mode);
});

describe('what must be new', () => {
  test('is written where nothing is, in an empty folder, and behind a link to one', async () => {
    await mkdir(join(folder, 'empty'));
    await mkdir(join(folder, 'far'));
    await symlink(join(folder, 'far'), join(folder, 'link'), 'junction');
    for (const name of ['deep/new', 'empty', 'link']) {
      await writeNewFolder(join(folder, name), { 'a.txt': name });
      expect(await readFile(join(folder, name, 'a.txt'), 'utf8')).toBe(name);
    }
    expect(await readFile(join(folder, 'far', 'a.txt'), 'utf8')).toBe('link');
    await writeNewFile(join(folder, 'b.txt'), 'b');
    expect(await readFile(join(folder, 'b.txt'), 'utf8')).toBe('b');
    expect((await readdir(folder)).sort()).toEqual(['b.txt', 'deep', 'empty', 'far', 'link']);
  });

  test('leaves what is there', async () => {
    await writeFolder(join(folder, 'taken'), { 'mine.txt': 'mine' });
    await writeFile(join(folder, 'mine.txt'), 'mine');
    await expect(writeNewFolder(join(folder, 'taken'), { 'a.txt': '' })).rejects.toThrow(
      /taken: cannot be written \((ENOTEMPTY|EEXIST)\); something is there, and stays/,
    );
    await expect(writeNewFolder(join(folder, 'mine.txt'), { 'a.txt': '' })).rejects.toThrow(FileError);
    await expect(writeNewFile(join(folder, 'mine.txt'), '')).rejects.toThrow(/mine\.txt: cannot be written \(EEXIST\); something is there/);
    expect(await readdir(join(folder, 'taken'))).toEqual(['mine.txt']);
    expect(await readFile(join(folder, 'mine.txt'), 'utf8')).toBe('mine');
    expect((await readdir(folder)).sort()).toEqual(['mine.txt', 'taken']);
  });
});
