// The page: settings in, two networks trained side by side, pictures of them.

import { kilobytes } from '../ts/cli/footprint.js';
import { grouped } from '../ts/topology/table.js';
import { Chart, type Curve } from './charts.js';
import { Contestant, type Look } from './contest.js';
import { BINS, RANGE } from './histogram.js';
import { Pad, showPicture } from './pixels.js';
import { fillForm, fitNetwork, readForm, searchOf } from './settings.js';

const byId = <T extends HTMLElement>(id: string) => document.getElementById(id) as T;
const [form, status, progress] = [byId<HTMLFormElement>('settings'), byId('status'), byId<HTMLProgressElement>('progress')];
const buttons = Object.fromEntries(
  ['train', 'pause', 'stop', 'share', 'clear', 'example', 'download'].map((id) => [id, byId<HTMLButtonElement>(id)]),
);

const base = new URL('mnist/', document.baseURI).href;
const sparse = new Contestant(false, base);
const dense = new Contestant(true, base);
const both = [sparse, dense];
const KEYS = { sparse: { label: 'sparse', colour: 'sparse' }, dense: { label: 'dense twin', colour: 'dense' } };
const LAYER_COLOURS = ['sparse', 'dense', 'third', 'fourth', 'fifth'];

const percent = (share: number) => share.toFixed(share < 10 ? 1 : 0);
const charts = {
  accuracy: new Chart(byId('accuracy'), { x: 'seconds', format: (value) => value.toFixed(1) }),
  loss: new Chart(byId('loss'), { x: 'seconds', format: (value) => value.toFixed(2) }),
  densities: new Chart(byId('densities'), { x: 'seconds', format: percent }),
  histogram: new Chart(byId('histogram'), { x: 'weight', format: (value) => `${value.toFixed(0)} %`, bars: true }),
};

function say(text: string, isError = false): void {
  status.textContent = text;
  status.classList.toggle('error', isError);
}

// --- pictures

function curves(y: (look: Look) => number): Curve[] {
  const points = (looks: Look[]) => looks.map((look) => [look.seconds, y(look)] as const);
  return [
    { ...KEYS.sparse, points: points(sparse.looks) },
    { ...KEYS.dense, points: points(dense.looks) },
  ];
}

function binned({ histogram }: Look): Curve['points'] {
  return histogram.map((share, i) => [-RANGE + (2 * RANGE * i) / BINS, 100 * share] as const);
}

function column(which: number, look: Look | undefined): void {
  const sum = (of: (layer: Look['layers'][number]) => number) => look?.layers.reduce((total, layer) => total + of(layer), 0) ?? 0;
  const texts = look && [
    `${(100 * look.accuracy).toFixed(1)} %`,
    look.loss.toFixed(3),
    ((1000 * look.seconds) / look.steps).toFixed(2),
    grouped(look.steps),
    grouped(sum(({ nnz }) => nnz)),
    kilobytes(sum(({ bytes }) => bytes)),
  ];
  document.querySelectorAll('#numbers tr').forEach((row, i) => {
    row.querySelectorAll('td')[which].textContent = texts?.[i] ?? '–';
  });
}

function show(): void {
  const [look, twin] = [sparse.looks.at(-1), dense.looks.at(-1)];
  column(0, look);
  column(1, twin);
  charts.accuracy.show(curves(({ accuracy }) => 100 * accuracy));
  charts.loss.show(curves(({ loss }) => loss));
  if (look) {
    charts.densities.show(
      look.layers.map(({ name }, i) => ({
        label: name,
        colour: LAYER_COLOURS[i % LAYER_COLOURS.length],
        points: sparse.looks.map(({ seconds, layers }) => [seconds, 100 * layers[i].density] as const),
      })),
    );
    if (look.picture) showPicture(byId<HTMLCanvasElement>('pixels'), byId('pixels-caption'), look.picture);
    const alpha = Number((form.elements.namedItem('alpha') as HTMLInputElement).value);
    const histograms: Curve[] = [{ ...KEYS.sparse, label: alpha === 1 ? 'sparse' : `sparse, α ${alpha}`, points: binned(look) }];
    if (twin) histograms.push({ ...KEYS.dense, label: 'dense twin, α 1', points: binned(twin) });
    charts.histogram.show(histograms);
  }
  const { seconds } = readForm(form);
  progress.value = Math.min(1, Math.min(sparse.seconds, dense.seconds) / seconds);
}

matchMedia('(prefers-color-scheme: dark)').addEventListener('change', show);

// --- training

let paused = false;

function running(is: boolean): void {
  buttons.train.disabled = is;
  buttons.pause.disabled = !is;
  buttons.stop.disabled = !is;
  buttons.pause.textContent = 'Pause';
  paused = false;
}

async function train(): Promise<void> {
  const settings = readForm(form);
  history.replaceState(null, '', searchOf(form) || location.pathname);
  running(true);
  buttons.download.disabled = true;
  byId('files').replaceChildren();
  try {
    say('Loading MNIST…');
    await Promise.all(both.map((contestant) => contestant.load(settings.images)));
    say('Training…');
    buttons.example.disabled = false;
    await Promise.all(both.map((contestant) => contestant.run(settings, show)));
    const [ours, twin] = both.map(({ looks }) => looks.at(-1));
    if (!ours || !twin) {
      show();
      say('Stopped before anything was learnt.');
      return;
    }
    const accuracy = (look: Look) => `${(100 * look.accuracy).toFixed(2)} %`;
    say(
      `Done: ${accuracy(ours)} of the 10 000 test images right with ${grouped(ours.steps)} steps; the dense twin ${accuracy(twin)} with ${grouped(twin.steps)}.`,
    );
    buttons.download.disabled = false;
    await classify();
  } catch (error) {
    // What is left of either run is ended, so that the next begins from nothing.
    await Promise.all(both.map((contestant) => contestant.end()));
    say(`That failed: ${(error as Error).message}`, true);
  } finally {
    running(false);
  }
}

form.addEventListener('submit', (event) => {
  event.preventDefault();
  void train();
});

async function each(what: 'pause' | 'resume'): Promise<void> {
  // One that is through already has nothing to pause.
  await Promise.all(both.map(async (contestant) => (await contestant.trainer)[what]().catch(() => {})));
}

buttons.pause.addEventListener('click', async () => {
  paused = !paused;
  buttons.pause.textContent = paused ? 'Go on' : 'Pause';
  await each(paused ? 'pause' : 'resume');
  say(paused ? 'Paused.' : 'Training…');
});

buttons.stop.addEventListener('click', () => Promise.all(both.map((contestant) => contestant.stop().catch(() => {}))));

buttons.share.addEventListener('click', async () => {
  if (!form.reportValidity()) return;
  history.replaceState(null, '', searchOf(form) || location.pathname);
  try {
    await navigator.clipboard.writeText(location.href);
    say('The link is copied.');
  } catch {
    say(`This page's address is the link: ${location.href}`);
  }
});

// --- a digit

const pad = new Pad(byId<HTMLCanvasElement>('pad'), () => void classify());

async function classify(label?: number): Promise<void> {
  const [pixels, look] = [pad.read(), sparse.looks.at(-1)];
  if (!pixels || !look) return;
  try {
    const { data } = await (await sparse.trainer).predict({ data: pixels, shape: [1, ...look.input] });
    const best = data.indexOf(Math.max(...data));
    byId('answer').textContent = `A ${best}, with ${(100 * data[best]).toFixed(0)} %${label === undefined ? '' : `; it is a ${label}`}.`;
    byId('bars').replaceChildren(
      ...Array.from(data, (share, digit) => {
        const [column, bar] = [document.createElement('div'), document.createElement('i')];
        bar.style.height = `${100 * share}%`;
        column.append(bar, String(digit));
        return column;
      }),
    );
  } catch (error) {
    say(`That failed: ${(error as Error).message}`, true);
  }
}

buttons.clear.addEventListener('click', () => {
  pad.clear();
  byId('answer').textContent = 'Draw a digit.';
  byId('bars').replaceChildren();
});

let shown = 0;

buttons.example.addEventListener('click', async () => {
  const { pixels, label } = (await (await sparse.trainer).call('digit', shown++)) as { pixels: Uint8Array; label: number };
  pad.show(pixels);
  await classify(label);
});

// --- the model

buttons.download.addEventListener('click', async () => {
  const artifacts = await (await sparse.trainer).artifacts();
  const { weightData, weightSpecs, ...rest } = artifacts;
  const weightsManifest = [{ paths: ['weights.bin'], weights: weightSpecs }];
  // As tfjs saves: two files. Two links, because browsers ask before a page saves more than one at once.
  const files = {
    'model.json': new Blob([JSON.stringify({ ...rest, weightsManifest })], { type: 'application/json' }),
    'weights.bin': new Blob([weightData as ArrayBuffer]),
  };
  for (const link of byId('files').querySelectorAll('a')) URL.revokeObjectURL(link.href);
  const links = Object.entries(files).flatMap(([name, blob]) => {
    const link = document.createElement('a');
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.textContent = `${name} (${Math.ceil(blob.size / 1024)} kB)`;
    return [link, ' '];
  });
  byId('files').replaceChildren('Save both: ', ...links);
  byId('files').querySelector('a')?.focus();
});

// --- the start

const refused = fillForm(form, location.search);
const network = () => fitNetwork(form, byId('network'));
form.addEventListener('change', network);
network();
if (refused.length > 0) say(`Not a setting, and left out: ${refused.join(', ')}`, true);
if (import.meta.env.PROD && 'serviceWorker' in navigator) {
  // Works offline from the second visit on; where it may not, everything else does.
  navigator.serviceWorker.register('./sw.js').catch(() => {});
}
