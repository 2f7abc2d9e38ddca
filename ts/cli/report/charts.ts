// The charts of a report as SVG. The only file that imports the libraries which draw them: the build bundles it, and it imports nothing of ours.

import * as Plot from '@observablehq/plot';
import { parseHTML } from 'linkedom';

/** Of all charts, in pixels: as wide as a phone, so that text is not scaled down there. */
const WIDTH = 400;
const HEIGHT = 240;
const { document } = parseHTML('<!doctype html><body></body>');

/** `colour`: a CSS colour, also `var(--name)`. Points ascend in x; one alone is a dot. */
export interface Series {
  colour: string;
  points: (readonly [x: number, y: number])[];
}

interface Described {
  /** What is to be seen, for those who do not see it. */
  title: string;
}

/** Lines over epochs, whole numbers from 1. `percent`: y are shares. `zero`: the y axis begins at 0. */
export function lines({ title, y, percent = false, zero = false, series }: Described & LinesArgs): string {
  const all = series.flatMap(({ points }) => points);
  const last = all.reduce((most, [x]) => Math.max(most, x), 1);
  return svg(title, {
    marginLeft: 52,
    x: { label: 'epoch', labelArrow: 'none', ticks: wholeTicks(last), tickFormat: 'd', domain: last > 1 ? [1, last] : [0.5, 1.5] },
    y: { label: y, labelArrow: 'none', grid: true, nice: true, zero, percent, ...(percent ? { tickFormat: plainNumber } : {}) },
    marks: series.flatMap(({ colour, points }) => [
      Plot.lineY(points, { x: '0', y: '1', stroke: colour, strokeWidth: 2 }),
      Plot.dot(points.length > 30 ? [] : points, { x: '0', y: '1', fill: colour, r: 2.5 }),
    ]),
  });
}

interface LinesArgs {
  y: string;
  percent?: boolean;
  zero?: boolean;
  series: Series[];
}

/** Horizontal bars, each with its label before and `text` behind. */
export function bars({ title, bars: all }: Described & { bars: { label: string; value: number; text: string; colour: string }[] }): string {
  const rows = all.map((bar, i) => ({ ...bar, row: String(i) }));
  const labels = new Map(rows.map(({ row, label }) => [row, label.length > 18 ? `${label.slice(0, 17)}…` : label]));
  const longest = Math.max(...[...labels.values()].map((label) => label.length));
  const longestText = Math.max(...rows.map(({ text }) => text.length));
  return svg(title, {
    height: 12 + 32 * rows.length,
    marginTop: 4,
    marginBottom: 8,
    marginLeft: 14 + 6.8 * longest,
    marginRight: 14 + 6.8 * longestText,
    x: { axis: null, domain: [0, Math.max(...rows.map(({ value }) => value), Number.MIN_VALUE)] },
    y: { label: null, tickSize: 0, padding: 0.3, domain: rows.map(({ row }) => row), tickFormat: (row: string) => labels.get(row) ?? '' },
    marks: [
      Plot.barX(rows, { x: 'value', y: 'row', fill: (bar: { colour: string }) => bar.colour }),
      Plot.text(rows, { x: 'value', y: 'row', text: 'text', textAnchor: 'start', dx: 6 }),
    ],
  });
}

/** Counts in bins of equal width from `from` to `to`. */
export function histogram({ title, counts, from, to, colour }: Described & HistogramArgs): string {
  const width = (to - from || 1) / counts.length;
  const bins = counts.map((count, i) => ({ count, left: from + i * width, right: from + (i + 1) * width }));
  return svg(title, {
    height: 180,
    marginLeft: 52,
    x: { label: 'weight', labelArrow: 'none', ticks: 4, domain: [from, from + width * counts.length] },
    y: { label: 'weights', labelArrow: 'none', grid: true, ticks: 4, nice: true, tickFormat: thousands },
    marks: [
      Plot.rectY(bins, { x1: 'left', x2: 'right', y: 'count', fill: colour, inset: 0, insetLeft: 0.5, insetRight: 0.5 }),
      Plot.ruleY([0]),
      ...(from < 0 && to > 0 ? [Plot.ruleX([0], { stroke: 'currentColor', strokeOpacity: 0.4, strokeDasharray: '2,3' })] : []),
    ],
  });
}

interface HistogramArgs {
  counts: readonly number[];
  from: number;
  to: number;
  colour: string;
}

/** `counts` of a picture side·side by rows, the more the darker; 0 leaves the ground. */
export function picture({ title, counts, colour }: Described & { counts: readonly number[]; colour: string }): string {
  const side = Math.sqrt(counts.length);
  const most = counts.reduce((high, count) => Math.max(high, count), 1);
  // One opacity for each of 20 shades: as few marks as cells of that shade.
  const shades = Array.from({ length: 21 }, () => [] as { x: number; y: number }[]);
  counts.forEach((count, i) => {
    if (count > 0) shades[Math.ceil((20 * count) / most)].push({ x: i % side, y: Math.floor(i / side) });
  });
  const size = Math.floor(320 / side) * side + 2;
  return svg(title, {
    width: size,
    height: size,
    marginTop: 1,
    marginRight: 1,
    marginBottom: 1,
    marginLeft: 1,
    x: { axis: null, domain: [0, side] },
    y: { axis: null, domain: [side, 0] },
    marks: [
      ...shades.map((cells, shade) =>
        Plot.rect(cells, {
          x1: 'x',
          x2: ({ x }: { x: number }) => x + 1,
          y1: 'y',
          y2: ({ y }: { y: number }) => y + 1,
          fill: colour,
          fillOpacity: shade / 20,
          shapeRendering: 'crispEdges', // Else neighbours have a seam.
        }),
      ),
      Plot.frame({ stroke: 'currentColor', strokeOpacity: 0.3 }),
    ],
  });
}

/** `counts` by index, where they make no picture. Long lists are shown as means of neighbours. */
export function profile({ title, counts, x, y, colour }: Described & ProfileArgs): string {
  const each = Math.ceil(counts.length / 360);
  const steps = Array.from({ length: Math.ceil(counts.length / each) }, (_, i) => {
    const part = counts.slice(i * each, (i + 1) * each);
    return { from: i * each, to: i * each + part.length, mean: part.reduce((a, b) => a + b, 0) / part.length };
  });
  return svg(title, {
    marginLeft: 52,
    x: { label: x, labelArrow: 'none', ticks: 6, tickFormat: 'd', domain: [0, counts.length] },
    y: { label: y, labelArrow: 'none', grid: true, zero: true, nice: true, tickFormat: thousands },
    marks: [Plot.rectY(steps, { x1: 'from', x2: 'to', y: 'mean', fill: colour, shapeRendering: 'crispEdges' }), Plot.ruleY([0])],
  });
}

interface ProfileArgs {
  counts: readonly number[];
  x: string;
  y: string;
  colour: string;
}

function svg(title: string, options: Plot.PlotOptions): string {
  const plot = Plot.plot({
    width: WIDTH,
    height: HEIGHT,
    marginBottom: 40,
    marginTop: 28,
    marginRight: 16,
    ...options,
    document: document as unknown as Document,
    ariaLabel: title,
    style: { fontSize: '12px', background: 'none', overflow: 'visible' },
  });
  plot.setAttribute('role', 'img');
  // One description for the whole chart: its parts have no roles of their own.
  for (const part of plot.querySelectorAll('[aria-label]')) part.removeAttribute('aria-label');
  // The page styles all charts at once.
  plot.querySelector('style')?.remove();
  return plot.outerHTML;
}

/** At most eight whole numbers from 1 to `last`. */
function wholeTicks(last: number): number[] {
  const step = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].find((each) => last / each <= 8) ?? Math.ceil(last / 8);
  const ticks = step === 1 ? [] : [1];
  for (let tick = step; tick <= last; tick += step) ticks.push(tick);
  return ticks;
}

function thousands(count: number): string {
  return count >= 1000 ? `${plainNumber(count / 1000)}k` : plainNumber(count);
}

function plainNumber(value: number): string {
  return String(Math.round(value * 1e6) / 1e6);
}
