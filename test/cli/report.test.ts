// The report: the page from numbers made up here, the charts as built and as written, and the command in processes of its own.

import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseHTML } from 'linkedom';
import { beforeAll, describe, expect, test } from 'vitest';
import type { TrainOptions } from '../../ts/cli/options.js';
import * as charts from '../../ts/cli/report/charts.js';
import { page } from '../../ts/cli/report/page.js';
import type { RunReport } from '../../ts/cli/report/run.js';
import { runCommand } from '../support/command.js';
import { dataFolder } from '../support/idx.js';

const options: TrainOptions = {
  model: 'mlp',
  layers: [20],
  density: 0.1,
  backwardDensity: 0.2,
  distribution: 'erk',
  method: 'ggr',
  alpha: 1,
  regularization: 1e-4,
  dense: false,
  optimizer: 'adam',
  batch: 64,
  epochs: 2,
  seed: 1,
  backend: 'wasm',
};

function made(name: string, change: Partial<RunReport> = {}): RunReport {
  const weights = { min: -1, max: 1, mean: 0, deviation: 0.5, zeros: 0, notFinite: 0, histogram: [1, 4, 2, 0] };
  const record = (epoch: number) => ({
    epoch,
    loss: 1 / epoch,
    testAccuracy: 0.9,
    msPerStep: 2,
    layers: { hidden: 0.1, output: 0.4 / epoch },
  });
  return {
    name,
    folder: `runs/${name}`,
    options,
    history: [record(1), { ...record(2), density: 0.1, dropped: 1234, grown: 1234, regrown: 5, explored: 0.25 }],
    layers: ['hidden', 'output'].map((layer) => ({ name: layer, density: 0.1, nnz: 50, bytes: 2048, denseBytes: 10_240, weights })),
    connections: Array.from({ length: 16 }, (_, i) => i),
    ...change,
  };
}

const count = (text: string, part: RegExp) => text.match(new RegExp(part, 'g'))?.length ?? 0;

describe('the page', () => {
  test('of one run: options, curves, densities, connections, weights, numbers', () => {
    const html = page([made('first')], '9.9.9');
    expect(html).toContain('<title>Training run first</title>');
    for (const title of ['Loss', 'Test accuracy', 'Training memory', 'Density per layer', 'Connections per input', 'Weights of hidden']) {
      expect(html).toContain(`<h3>${title}</h3>`);
    }
    expect(html).toContain('<dt>method</dt><dd>ggr</dd>');
    // What GGR knows nothing of is not shown.
    expect(html).not.toContain('regularization');
    expect(html).toContain('<td>1,234</td>');
    // 2·50 of 2·500 positions; 2·2 kB, the dense twin 2·10.
    expect(html).toMatch(/<td>10\.0 %<\/td><td>100<\/td><td>90\.00 %<\/td><td>2\.00 ms<\/td><td>4 kB<\/td><td>20 kB<\/td>/);
  });

  test('needs neither scripts nor network, and says so to the browser', () => {
    const html = page([made('a'), made('b')], '9.9.9');
    expect(html).toContain(`content="default-src 'none'; style-src 'unsafe-inline'"`);
    expect(html).not.toMatch(/<script|<link|<img|<iframe|\ssrc=|\shref=|@import|url\(/);
    expect(html.replaceAll('http-equiv', '')).not.toContain('http');
  });

  test('every chart has a caption and a description, and charts take their colours from the page', () => {
    const html = page([made('a'), made('b')], '9.9.9');
    const figures = count(html, /<figure>/);
    // Four of both runs, and for each one densities, connections and two histograms.
    expect(figures).toBe(4 + 2 * 4);
    for (const part of [/<figcaption>[^<]+/, /<svg [^>]*role="img"/, /<svg [^>]*aria-label="[^"]{10,}"/])
      expect(count(html, part)).toBe(figures);
    expect(html).not.toMatch(/(fill|stroke)="(#|black|steelblue|rgb)/);
  });

  test('several runs share the curves, and a dense one is what they are compared with', () => {
    const dense = made('twin', {
      options: { ...options, dense: true },
      history: made('').history.map((record) => ({ ...record, msPerStep: 9, layers: {} })),
      connections: undefined,
    });
    const html = page([made('a'), dense], '9.9.9');
    expect(html).toContain('2.00 ms (4.5× as fast as twin)');
    expect(html).toContain('aria-label="Time per step: a 2.00 ms, twin 9.00 ms"');
    expect(html).not.toContain('To see the dense twin');
    expect(count(html, /<h3>Density per layer/)).toBe(1);
    expect(count(html, /<h3>Connections per input/)).toBe(1);
    // Another batch is another task.
    const other = { ...dense, options: { ...dense.options, batch: 1 } };
    expect(page([made('a'), other], '9.9.9')).toContain('To see the dense twin');
  });

  test('names from files stay text', () => {
    const hostile = '<script>alert("1")</script>';
    const layers = made('').layers.map((layer) => ({ ...layer, name: `${hostile}${layer.name}` }));
    const history = made('').history.map((record) => ({ ...record, layers: { [`${hostile}hidden`]: 0.1 } }));
    const html = page([made(hostile, { layers, history, folder: hostile }), made('b')], '9.9.9');
    // As a parser sees it: in texts, charts and attributes.
    const { document } = parseHTML(html);
    expect(document.querySelectorAll('script')).toHaveLength(0);
    expect(document.querySelector('h2[id=run-0]')?.textContent).toBe(hostile);
    expect(document.querySelectorAll('figure')).toHaveLength(4 + 2 * 4);
    expect(document.querySelector('[aria-label^="Time per step"]')?.getAttribute('aria-label')).toContain(`${hostile} 2.00 ms`);
  });

  test('old runs have no densities, new ones perhaps no epoch yet', () => {
    const old = made('old').history.map(({ epoch, loss, testAccuracy, msPerStep }) => ({ epoch, loss, testAccuracy, msPerStep }));
    expect(page([made('old', { history: old })], '9.9.9')).not.toContain('Density per layer');
    const html = page([made('new', { history: [] })], '9.9.9');
    expect(html).toContain('No epoch is finished yet.');
    expect(html).not.toMatch(/NaN|undefined|Infinity/);
  });

  test('inputs that make no picture are a profile; one epoch is a dot; many are lines alone', () => {
    const one = made('one', { history: made('').history.slice(0, 1), connections: [3, 1, 2] });
    const html = page([one], '9.9.9');
    expect(html).toContain('for each of 3 input features.');
    expect(html).not.toContain('class="scale"');
    expect(html).not.toMatch(/NaN|undefined/);
    expect(html).toMatch(/<circle /);
    const history = Array.from({ length: 100 }, (_, i) => ({ epoch: i + 1, loss: 1, testAccuracy: 0.5, msPerStep: 1 }));
    expect(page([made('long', { history })], '9.9.9')).not.toMatch(/<circle /);
  });

  test('more inputs than a call takes arguments', () => {
    const counts = new Array<number>(600_000).fill(2);
    counts[7] = 1;
    counts[8] = 5;
    const html = page([made('wide', { connections: counts })], '9.9.9');
    expect(html).toContain('Connections of each of 600000 input features, from 1 to 5');
    expect(charts.picture({ title: 't', counts: new Array<number>(360_000).fill(0), colour: 'red' })).toContain('<svg');
  });

  test('weights that are all the same, none, or not finite', () => {
    const base = made('').layers[0];
    const flat = { min: 0.5, max: 0.5, mean: 0.5, deviation: 0, zeros: 0, notFinite: 3, histogram: [7, 0, 0, 0] };
    const layers = [
      { ...base, weights: flat },
      { ...base, name: 'none', nnz: 0, density: 0, weights: undefined },
    ];
    const html = page([made('odd', { layers })], '9.9.9');
    expect(html).toContain('3 are not finite.');
    expect(html).not.toContain('Weights of none');
    expect(html).not.toMatch(/NaN|undefined/);
  });
});

describe('the charts', () => {
  test('a line goes where its points are', () => {
    const svg = charts.lines({
      title: 't',
      y: 'loss',
      series: [
        {
          colour: 'var(--a)',
          points: [
            [1, 0],
            [2, 1],
            [3, 0.5],
          ],
        },
      ],
    });
    const [, path = ''] = svg.match(/<g [^>]*stroke="var\(--a\)"[^>]*><path d="M([^"]*)"/) ?? [];
    const points = path.split('L').map((point) => point.split(',').map(Number));
    expect(points).toHaveLength(3);
    const [[x1, y1], [x2, y2], [x3, y3]] = points;
    expect(x2 - x1).toBeCloseTo(x3 - x2);
    expect((y1 - y3) / (y1 - y2)).toBeCloseTo(0.5);
  });

  test('a picture has the cells that have connections', () => {
    const svg = charts.picture({ title: 't', counts: [0, 1, 2, 2], colour: 'var(--a)' });
    // Three cells and the frame.
    expect(count(svg, /<rect /)).toBe(4);
    expect(svg).toContain('fill-opacity="0.5"');
  });

  test('the built file draws the same, and imports nothing that users do not have', async () => {
    const file = fileURLToPath(new URL('../../dist/cli/report/charts.js', import.meta.url));
    const built = (await import(file)) as typeof charts;
    const draw = ({ lines, bars, histogram, picture, profile }: typeof charts) => [
      lines({
        title: 'a',
        y: 'loss',
        percent: true,
        series: [
          {
            colour: 'red',
            points: [
              [1, 0.5],
              [2, 0.25],
            ],
          },
        ],
      }),
      bars({ title: 'b', bars: [{ label: 'a run with a very long name', value: 3, text: '3 ms', colour: 'red' }] }),
      histogram({ title: 'c', counts: [1, 2000, 3], from: -1, to: 2, colour: 'red' }),
      picture({ title: 'd', counts: [0, 1, 2, 3], colour: 'red' }),
      profile({ title: 'e', counts: Array.from({ length: 1000 }, (_, i) => i), x: 'x', y: 'y', colour: 'red' }),
    ];
    expect(draw(built)).toEqual(draw(charts));
    const source = await readFile(file, 'utf8');
    expect(source).not.toMatch(/(?:^|[;}\s])(?:import|export)\s*(?:[\w*{][^;"']*?from\s*)?["']/);
    expect(source).not.toMatch(/\bimport\(\s*["']|\brequire\(\s*["']/);
    const licences = await readFile(join(file, '..', 'THIRD_PARTY.txt'), 'utf8');
    for (const name of ['@observablehq/plot', 'd3-scale', 'linkedom', 'htmlparser2'])
      expect(licences).toMatch(new RegExp(`^${name} \\d`, 'm'));
    expect(licences).toContain('Permission to use, copy, modify');
  });
});

describe('the command', () => {
  let home: string;
  let data: string;
  const run = (...args: string[]) => runCommand(home, args);

  beforeAll(async () => {
    data = await dataFolder();
    home = await mkdtemp(join(tmpdir(), 'report-'));
    const train = (...args: string[]) =>
      run('train', '--data', data, '--layers', '12', '--density', '0.3', '--batch', '50', '--epochs', '2', ...args);
    await train('--method', 'rigl', '--every', '3', '--out', 'sparse');
    await train('--dense', '--out', 'dense');
  });

  test('train leaves a report and names it', async () => {
    const html = await readFile(join(home, 'sparse', 'report.html'), 'utf8');
    expect(html).toContain('<title>Training run sparse</title>');
    // 8×8 images.
    expect(html).toContain('for each of 8×8 input features');
    await writeFile(join(home, 'sparse', 'report.html'), '');
    const { out, status } = await run('train', '--resume', 'sparse', '--epochs', '3');
    expect(status).toBe(0);
    expect(out).toContain('Report: sparse/report.html');
    expect(await readFile(join(home, 'sparse', 'report.html'), 'utf8')).toContain('<dt>epochs</dt><dd>3</dd>');
  });

  test('one run: the same page as train wrote', async () => {
    const before = await readFile(join(home, 'dense', 'report.html'), 'utf8');
    const { out, err, status } = await run('report', 'dense');
    expect([status, err, out]).toEqual([0, '', 'Report: dense/report.html\n']);
    expect(await readFile(join(home, 'dense', 'report.html'), 'utf8')).toBe(before);
  });

  test('a run is whole without its report', async () => {
    await cp(join(home, 'dense'), join(home, 'unreported'), { recursive: true });
    const page = join(home, 'unreported', 'report.html');
    await writeFile(page, 'mine');
    const { out, err, status } = await run('train', '--resume', 'unreported', '--epochs', '3');
    expect(err.trim().split('\n').at(-1)).toMatch(/^tfjs-sparse: warning: no report: unreported\/report\.html: expected a new file or/);
    expect(out.trim().split('\n').at(-1)).toBe('Model and history: unreported');
    expect(status).toBe(0);
    expect(await readFile(page, 'utf8')).toBe('mine');
  });

  test('replaces reports, and no other page', async () => {
    const mine = join(home, 'mine.html');
    await writeFile(mine, '<!doctype html><title>mine</title>');
    await cp(mine, join(home, 'report.html'));
    for (const [name, args] of Object.entries({ 'mine.html': ['--out', 'mine.html'], 'report.html': [] })) {
      const { out, err, status } = await run('report', 'sparse', 'dense', ...args);
      expect(err).toBe(`tfjs-sparse: ${name}: expected a new file or an older report, received another file; name a new one with --out\n`);
      expect([status, out]).toEqual([2, '']);
      expect(await readFile(join(home, name), 'utf8')).toBe(await readFile(mine, 'utf8'));
    }
    await rm(join(home, 'report.html'));
    for (const _ of [1, 2]) expect((await run('report', 'sparse', 'dense')).status).toBe(0);
  });

  test('several runs, --out and --json', async () => {
    const { out } = await run('report', 'sparse', 'dense', '--out', 'both.html', '--json');
    const { out: file, runs } = JSON.parse(out);
    expect(file).toBe('both.html');
    expect(runs.map(({ name }: RunReport) => name)).toEqual(['sparse', 'dense']);
    const [sparse, dense] = runs as RunReport[];
    expect(sparse.connections).toHaveLength(64);
    expect(sparse.connections?.reduce((a, b) => a + b)).toBe(sparse.layers[0].nnz);
    expect(dense.layers.map(({ bytes, denseBytes }) => bytes === denseBytes)).toEqual([true, true]);
    expect(sparse.history[0]).toMatchObject({ layers: { hidden1: expect.any(Number) }, dropped: expect.any(Number) });
    expect(await readFile(join(home, 'both.html'), 'utf8')).toContain('2 training runs');
  });

  test('runs of the same name are told apart by their folders', async () => {
    await cp(join(home, 'sparse'), join(home, 'more', 'sparse'), { recursive: true });
    const { out } = await run('report', 'sparse', 'more/sparse', '--out', 'same.html', '--json');
    expect(JSON.parse(out).runs.map(({ name }: RunReport) => name)).toEqual(['sparse', 'more/sparse']);
  });

  /** A copy of the sparse run with its state changed. */
  async function spoilt(name: string, change: (state: Record<string, never>) => void): Promise<void> {
    await cp(join(home, 'sparse'), join(home, name), { recursive: true });
    const file = join(home, name, 'model', 'run.json');
    const state = JSON.parse(await readFile(file, 'utf8'));
    change(state);
    await writeFile(file, JSON.stringify(state));
  }

  test('a run of 0.1.0, as it wrote it, is reported and goes on', async () => {
    // Its options have no alpha, its layers no method, its epochs no densities.
    await cp(fileURLToPath(new URL('run-0.1.0', import.meta.url)), join(home, 'old'), { recursive: true });
    const { status, err } = await run('report', 'old');
    expect([status, err]).toEqual([0, '']);
    const html = await readFile(join(home, 'old', 'report.html'), 'utf8');
    expect(html).not.toContain('Density per layer');
    expect(html).toContain('<dt>alpha</dt><dd>1</dd>');
    const { out, status: resumed } = await run('train', '--resume', 'old', '--data', data, '--epochs', '8');
    expect(resumed).toBe(0);
    expect(out).toContain('after 8 epochs');
    const history: { testAccuracy: number; dropped?: number }[] = JSON.parse(await readFile(join(home, 'old', 'history.json'), 'utf8'));
    expect(history.map(({ dropped }) => dropped !== undefined)).toEqual([false, false, true, true, true, true, true, true]);
    expect(history[7].testAccuracy).toBeGreaterThan(history[1].testAccuracy + 0.1);
  });

  test.each<[string, (state: Record<string, never>) => void]>([
    ['densities that are text', (state) => Object.assign(state['history'][0], { layers: { hidden1: '<b>' } })],
    ['densities that are none', (state) => Object.assign(state['history'][0], { layers: null })],
    ['a count that is none', (state) => Object.assign(state['history'][0], { dropped: 'many' })],
    ['counts of an interrupted epoch', (state) => Object.assign(state, { moved: { dropped: 1 } })],
    ['options that are none', (state) => Object.assign(state, { options: null })],
  ])('%s are refused', async (what, change) => {
    const name = what.replaceAll(' ', '-');
    await spoilt(name, change);
    const before = await readdir(home);
    const { status, out, err } = await run('report', 'dense', name, '--out', 'never.html');
    expect(err).toMatch(/run\.json: expected the state of a run \(tfjs-sparse run 1\)\n$/);
    expect([status, out]).toEqual([2, '']);
    expect(await readdir(home)).toEqual(before);
  });

  test.each<[string, string[], RegExp]>([
    ['no run', ['report', 'nowhere'], /nowhere\/model\/run\.json: cannot be read \(ENOENT\); expected the folder of a run of train/],
    ['a page that cannot be written', ['report', 'dense', '--out', 'no/where.html'], /no\/where\.html: cannot be written \(ENOENT\)/],
    ['nothing said', ['report'], /missing required argument 'run'/],
  ])('%s', async (_, args, message) => {
    const { status, out, err } = await run(...args);
    expect(err).toMatch(message);
    expect([status, out]).toEqual([2, '']);
  });
});
