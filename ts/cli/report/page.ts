// The report as one HTML page: no scripts, nothing from the network.

import { grouped, percent } from '../../topology/table.js';
import { kilobytes } from '../footprint.js';
import { matters } from '../options.js';
import type { EpochRecord } from '../run_folder.js';
import * as charts from './charts.js';
import type { RunReport } from './run.js';
import { STYLE } from './style.js';

/** How many colours the style has; runs beyond take them again. */
const COLOURS = 8;
const colour = (i: number) => `var(--series-${i % COLOURS})`;

/** How a page says who wrote it, up to the version. */
export const GENERATOR = '<meta name="generator" content="tfjs-sparse';

export function page(runs: readonly RunReport[], version: string): string {
  const title = runs.length === 1 ? `Training run ${runs[0].name}` : `${runs.length} training runs`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
${GENERATOR} ${escaped(version)}">
<title>${escaped(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<header>
<h1>${escaped(title)}</h1>
${runs.length === 1 ? optionsOf(runs[0]) : ''}
</header>
<main>
${overview(runs)}
${runs.map((run, i) => sectionOf(run, i, runs.length === 1)).join('\n')}
</main>
<footer>Written by tfjs-sparse ${escaped(version)}.</footer>
</body>
</html>
`;
}

function overview(runs: readonly RunReport[]): string {
  const lines = (of: (record: EpochRecord) => number) =>
    runs.map(({ history }, i) => ({ colour: colour(i), points: history.map((record) => [record.epoch, of(record)] as const) }));
  const trained = runs.some(({ history }) => history.length > 0);
  const key = runs.length > 1 ? legend(runs.map(({ name }) => name)) : '';
  const curves = [
    figure(
      'Loss',
      'Mean training loss of each epoch.',
      charts.lines({ title: 'Training loss over epochs', y: 'loss', series: lines((r) => r.loss) }),
      key,
    ),
    figure(
      'Test accuracy',
      'After each epoch, on the test set.',
      charts.lines({ title: 'Test accuracy over epochs', y: 'accuracy, %', percent: true, series: lines((r) => r.testAccuracy) }),
      key,
    ),
  ];
  const costs = [
    ...(runs.filter(({ history }) => history.length > 0).length > 1 ? [figure('Time per step', TIME_NOTE, timeChart(runs))] : []),
    figure('Training memory', MEMORY_NOTE, memoryChart(runs)),
  ];
  return `<section aria-labelledby="overview">
<h2 id="overview">Overview</h2>
${overviewTable(runs)}
${compared(runs) ? '' : `<p class="note">${TWIN_NOTE}</p>`}
${trained ? '' : '<p>No epoch is finished yet.</p>'}
<div class="charts">
${trained ? curves.join('\n') : ''}
<div>${costs.join('\n')}</div>
</div>
</section>`;
}

const TIME_NOTE = 'Milliseconds of a training step, median of epochs, on the machine that trained.';
const TWIN_NOTE = 'To see the dense twin beside it: train once more with <code>--dense</code>, and give <code>report</code> both folders.';
const MEMORY_NOTE =
  'Counted from the arrays: weights, gradients, moments, patterns, the vector that Top-KAST keeps and the record of explored positions. ' +
  'The dense twin is computed: the same layers with every weight.';

function overviewTable(runs: readonly RunReport[]): string {
  const head = ['Run', 'Method', 'Density', 'Weights', 'Test accuracy', 'Time per step', 'Training memory', 'Dense twin'];
  const rows = runs.map((run, i) => {
    const last = run.history.at(-1);
    const ratio = timesFaster(run, runs);
    return [
      runs.length > 1 ? `<span class="swatch" style="background:${colour(i)}"></span>${escaped(run.name)}` : escaped(run.name),
      escaped(methodOf(run)),
      percent(total(run, 'nnz') / positions(run)),
      grouped(total(run, 'nnz')),
      last ? percent(last.testAccuracy, 2) : '–',
      last ? `${milliseconds(stepTime(run))}${ratio ? ` (${ratio})` : ''}` : '–',
      kilobytes(total(run, 'bytes')),
      kilobytes(total(run, 'denseBytes')),
    ];
  });
  return htmlTable('Runs', head, rows);
}

/** Positions where a weight could be, from what each layer says of its density. */
function positions({ layers }: RunReport): number {
  return layers.reduce((sum, { nnz, density }) => sum + (density > 0 ? nnz / density : 0), 0) || 1;
}

function methodOf({ options: { dense, method, alpha } }: RunReport): string {
  return `${dense ? 'dense' : method}${alpha === 1 ? '' : `, α ${alpha}`}`;
}

const total = ({ layers }: RunReport, what: 'nnz' | 'bytes' | 'denseBytes') => layers.reduce((sum, layer) => sum + layer[what], 0);

/** Median over epochs, in milliseconds. */
function stepTime({ history }: RunReport): number {
  const times = history.map(({ msPerStep }) => msPerStep).sort((a, b) => a - b);
  return times[times.length >> 1];
}

/** The dense run that `run` may be compared with: the same network and batch. */
function denseTwin(run: RunReport, runs: readonly RunReport[]): RunReport | undefined {
  const same = ({ options: { model, layers, batch, backend } }: RunReport) => JSON.stringify([model, layers, batch, backend]);
  return runs.find((other) => other !== run && other.options.dense && other.history.length > 0 && same(other) === same(run));
}

function timesFaster(run: RunReport, runs: readonly RunReport[]): string | undefined {
  const twin = run.options.dense ? undefined : denseTwin(run, runs);
  return twin && `${(stepTime(twin) / stepTime(run)).toFixed(1)}× as fast as ${escaped(twin.name)}`;
}

/** Whether there is nothing left to compare. */
function compared(runs: readonly RunReport[]): boolean {
  return runs.every((run) => run.options.dense || denseTwin(run, runs) !== undefined);
}

function timeChart(runs: readonly RunReport[]): string {
  const timed = runs.map((run, i) => ({ run, colour: colour(i) })).filter(({ run }) => run.history.length > 0);
  const all = timed.map(({ run, colour }) => ({ label: run.name, value: stepTime(run), text: milliseconds(stepTime(run)), colour }));
  return charts.bars({ title: `Time per step: ${spoken(all)}`, bars: all });
}

function memoryChart(runs: readonly RunReport[]): string {
  const all = runs.map((run, i) => ({
    label: run.name,
    value: total(run, 'bytes'),
    text: kilobytes(total(run, 'bytes')),
    colour: colour(i),
  }));
  // One twin for all runs of one network, none where a dense run is among them.
  const shown = new Set(runs.filter(({ options }) => options.dense).map((run) => total(run, 'bytes')));
  for (const run of runs) {
    const value = total(run, 'denseBytes');
    if (!shown.has(value)) all.push({ label: 'dense twin', value, text: kilobytes(value), colour: 'var(--muted)' });
    shown.add(value);
  }
  return charts.bars({ title: `Training memory: ${spoken(all)}`, bars: all });
}

const spoken = (all: readonly { label: string; text: string }[]) => all.map(({ label, text }) => `${label} ${text}`).join(', ');

function sectionOf(run: RunReport, index: number, alone: boolean): string {
  const parts = [densities(run), connections(run, colour(index)), ...histograms(run, colour(index))];
  const id = `run-${index}`;
  return `<section aria-labelledby="${id}">
<h2 id="${id}">${alone ? 'Layers' : `<span class="swatch" style="background:${colour(index)}"></span>${escaped(run.name)}`}</h2>
${alone ? '' : optionsOf(run)}
${layerTable(run)}
<div class="charts">
${parts.filter((part) => part !== '').join('\n')}
</div>
${epochTable(run)}
</section>`;
}

/** Options that have an effect, in this order. */
const SHOWN = [
  'model',
  'layers',
  'dense',
  'method',
  'density',
  'backwardDensity',
  'distribution',
  'densities',
  'every',
  'dropFraction',
] as const;
const SHOWN_LAST = ['alpha', 'regularization', 'optimizer', 'learningRate', 'batch', 'epochs', 'seed', 'backend', 'data'] as const;

function optionsOf({ folder, options }: RunReport): string {
  const given = [...SHOWN, ...SHOWN_LAST].flatMap((name) => {
    const value = options[name];
    if (value === undefined || value === null || value === false || !matters(name, options)) return [];
    return [[name, value === true ? 'yes' : Array.isArray(value) ? value.join(', ') : String(value)]];
  });
  const items = [...given, ['folder', folder]].map(([name, value]) => {
    const words = name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
    return `<div><dt>${escaped(words)}</dt><dd>${escaped(value)}</dd></div>`;
  });
  return `<dl>${items.join('')}</dl>`;
}

function densities({ history, layers, options }: RunReport): string {
  const recorded = history.filter((record) => record.layers !== undefined);
  if (options.dense || recorded.length === 0) return '';
  const names = layers.map(({ name }) => name).filter((name) => recorded.some((record) => Object.hasOwn(record.layers ?? {}, name)));
  const series = names.map((name, i) => ({
    colour: colour(i),
    points: recorded.flatMap(({ epoch, layers = {} }) => (Object.hasOwn(layers, name) ? [[epoch, layers[name]] as const] : [])),
  }));
  return figure(
    'Density per layer',
    'Weights in the forward pass over positions, after each epoch.',
    charts.lines({ title: `Density over epochs of ${names.join(', ')}`, y: 'density, %', percent: true, zero: true, series }),
    legend(names),
  );
}

/** Pictures up to this side; larger ones would be finer than the screen. */
const LARGEST_SIDE = 64;

function connections({ connections: counts }: RunReport, colour: string): string {
  if (!counts) return '';
  // Not spread: as arguments they would not fit on the stack from some 100 000 on.
  const [least, most] = counts.reduce(([low, high], count) => [Math.min(low, count), Math.max(high, count)], [Infinity, 0]);
  const side = Math.sqrt(counts.length);
  const title = `Connections of each of ${counts.length} input features, from ${least} to ${most}`;
  if (Number.isInteger(side) && side > 1 && side <= LARGEST_SIDE) {
    const scale = `<p class="scale" aria-hidden="true">0 <span style="--to:${colour}"></span> ${most} connections</p>`;
    return figure(
      'Connections per input',
      `The first layer's weights for each of ${side}×${side} input features.`,
      charts.picture({ title, counts, colour }),
      scale,
    );
  }
  return figure(
    'Connections per input',
    `The first layer's weights for each of ${counts.length} input features.`,
    charts.profile({ title, counts, x: 'input feature', y: 'connections', colour }),
  );
}

function histograms({ layers }: RunReport, colour: string): string[] {
  return layers.flatMap(({ name, weights }) => {
    if (!weights) return [];
    const { min, max, deviation, notFinite, histogram: counts } = weights;
    const title = `Histogram of the weights of ${name}, from ${short(min)} to ${short(max)}`;
    const notNumbers = notFinite > 0 ? ` ${grouped(notFinite)} are not finite.` : '';
    return figure(
      `Weights of ${name}`,
      `At the end of training; deviation ${short(deviation)}.${notNumbers}`,
      charts.histogram({ title, counts, from: min, to: max, colour }),
    );
  });
}

function layerTable({ name: run, layers }: RunReport): string {
  const rows = layers.map(({ name, density, nnz, bytes, denseBytes }) => [
    escaped(name),
    percent(density),
    grouped(nnz),
    kilobytes(bytes),
    kilobytes(denseBytes),
  ]);
  return htmlTable(`Layers of ${run}`, ['Layer', 'Density', 'Weights', 'Training memory', 'Dense twin'], rows);
}

function epochTable({ name, history }: RunReport): string {
  if (history.length === 0) return '';
  const moves = history.some(({ dropped }) => dropped !== undefined);
  const shown = (count: number | undefined) => (count === undefined ? '–' : grouped(count));
  const rows = history.map(({ epoch, loss, testAccuracy, msPerStep, density, dropped, grown, explored }) => [
    String(epoch),
    loss.toFixed(4),
    percent(testAccuracy, 2),
    milliseconds(msPerStep),
    ...(moves
      ? [density === undefined ? '–' : percent(density), shown(dropped), shown(grown), explored === undefined ? '–' : percent(explored)]
      : []),
  ]);
  const head = ['Epoch', 'Loss', 'Test accuracy', 'Time per step', ...(moves ? ['Density', 'Dropped', 'Grown', 'Explored'] : [])];
  return `<details><summary>Numbers of each epoch</summary>${htmlTable(`Epochs of ${name}`, head, rows)}</details>`;
}

/** `rows` are HTML. */
function htmlTable(label: string, head: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = (row: readonly string[]) => row.map((cell, i) => (i === 0 ? `<th scope="row">${cell}</th>` : `<td>${cell}</td>`)).join('');
  const top = head.map((cell) => `<th scope="col">${cell}</th>`).join('');
  // Wider than a phone: it can be scrolled, by keyboard too.
  return `<div class="table" tabindex="0" role="region" aria-label="${escaped(label)}"><table><thead><tr>${top}</tr></thead><tbody>
${rows.map((row) => `<tr>${cells(row)}</tr>`).join('\n')}
</tbody></table></div>`;
}

function figure(title: string, caption: string, svg: string, key = ''): string {
  return `<figure><h3>${escaped(title)}</h3>${key}${svg}<figcaption>${escaped(caption)}</figcaption></figure>`;
}

function legend(names: readonly string[]): string {
  const items = names.map((name, i) => `<li><span class="swatch" style="background:${colour(i)}"></span>${escaped(name)}</li>`);
  return `<ul class="key">${items.join('')}</ul>`;
}

const short = (value: number) => (value === 0 ? '0' : value.toPrecision(2));
const milliseconds = (ms: number) => `${ms.toFixed(2)} ms`;

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
