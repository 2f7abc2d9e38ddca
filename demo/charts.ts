// Curves by uPlot, in the page's colours, as wide as their frame.

import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';

/** A colour of the style sheet, as it is now: the visitor may switch between light and dark. */
export function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

export interface Curve {
  label: string;
  /** Name of a colour in the style sheet. */
  colour: string;
  points: (readonly [x: number, y: number])[];
}

export interface ChartOptions {
  x: string;
  /** A number as the legend and the axis show it. */
  format(value: number): string;
  /** Bounds of y; by default what the data need. */
  y?: [number, number];
  bars?: boolean;
}

const AXIS_FONT = '12px system-ui, sans-serif';

/** Charts that have something new to show. They take turns, one a frame: all at once would hold up the page. */
const waiting = new Map<Chart, () => void>();

function nextFrame(): void {
  const [first] = waiting;
  if (!first) return;
  waiting.delete(first[0]);
  first[1]();
  requestAnimationFrame(nextFrame);
}

/** One chart in `frame`. `show` draws it anew; `frame`'s label says the latest values, for those who hear the page. */
export class Chart {
  #plot: uPlot | undefined;
  #curves: Curve[] = [];
  /** Labels of the curves in the plot. */
  #drawn = '';

  constructor(
    readonly frame: HTMLElement,
    readonly options: ChartOptions,
  ) {
    new ResizeObserver(() => this.#draw(true)).observe(frame);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.#draw(true));
    this.show([]);
  }

  show(curves: Curve[]): void {
    this.#curves = curves;
    if (waiting.size === 0) requestAnimationFrame(nextFrame);
    waiting.set(this, () => this.#draw(false));
    const latest = curves.map(
      ({ label, points }) => `${label} ${points.length ? this.options.format(points[points.length - 1][1]) : 'nothing yet'}`,
    );
    this.frame.setAttribute(
      'aria-label',
      this.options.bars ? `Histogram: ${curves.map(({ label }) => label).join(', ')}` : latest.join(', ') || 'Nothing yet',
    );
  }

  #draw(anew: boolean): void {
    const tables = this.#curves.map(({ points }) => [points.map(([x]) => x), points.map(([, y]) => y)] as uPlot.AlignedData);
    const data = tables.length > 0 ? uPlot.join(tables) : ([[]] as unknown as uPlot.AlignedData);
    const labels = this.#curves.map(({ label }) => label).join();
    if (!anew && this.#plot && labels === this.#drawn) {
      this.#plot.setData(data);
      return;
    }
    this.#drawn = labels;
    this.#plot?.destroy();
    const { clientWidth: width, clientHeight: height } = this.frame;
    if (width === 0) return;
    this.#plot = new uPlot(this.#uplotOptions(width, height), data, this.frame);
  }

  #uplotOptions(width: number, height: number): uPlot.Options {
    const { format, x, y, bars } = this.options;
    const axis = { stroke: colour('soft'), grid: { stroke: colour('grid') }, ticks: { stroke: colour('grid') }, font: AXIS_FONT };
    const legendLines = Math.ceil(((this.#curves.length + 1) * 130) / width);
    return {
      width,
      height: height - 26 * legendLines,
      scales: { x: { time: false }, ...(y ? { y: { range: y } } : {}) },
      axes: [axis, { ...axis, size: 52, values: (_, ticks) => ticks.map(format) }],
      series: [
        { label: x, value: (_, value) => (value === null ? '–' : value.toFixed(bars ? 2 : 1)) },
        ...this.#curves.map((curve) => ({
          label: curve.label,
          stroke: colour(curve.colour),
          width: 2,
          spanGaps: true,
          value: (_: uPlot, value: number | null) => (value === null ? '–' : format(value)),
          ...(bars ? { paths: uPlot.paths.stepped?.({ align: 1 }), points: { show: false }, fill: `${colour(curve.colour)}22` } : {}),
        })),
      ],
      // Names only: each chart's caption says what they are of, and the table the latest numbers.
      legend: { live: false },
      cursor: { y: false },
    } as uPlot.Options;
  }
}
