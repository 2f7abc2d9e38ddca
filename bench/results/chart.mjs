// A small line chart over a logarithmic axis that falls to the right, as SVG without any dependency; readable on light and on dark ground.

const [WIDTH, HEIGHT] = [680, 400];
const BOX = { left: 56, right: 530, top: 40, bottom: 344 };
// Okabe and Ito's, in an order in which neighbours differ for every eye; the first is neutral.
const COLOURS = ['#808080', '#0072b2', '#d55e00', '#009e73', '#cc79a7', '#56b4e9'];

/**
 * @param {{ title: string, x: string, y: string, ticks: number[], top: number, series: { name: string, points: number[][] }[] }} what
 * `ticks` of the x axis, from its left end to its right one; the y axis goes from 0 to `top`.
 */
export function chart({ title, x, y, ticks, top, series }) {
  const logs = [Math.log(ticks[0]), Math.log(ticks[ticks.length - 1])];
  const px = (/** @type {number} */ value) =>
    round(BOX.left + ((Math.log(value) - logs[0]) / (logs[1] - logs[0])) * (BOX.right - BOX.left));
  const py = (/** @type {number} */ value) => round(BOX.bottom - (value / top) * (BOX.bottom - BOX.top));
  const middle = [(BOX.left + BOX.right) / 2, (BOX.top + BOX.bottom) / 2];
  const lines = [
    ...[0, 1, 2, 3, 4, 5].map((i) => {
      const value = (top * i) / 5;
      return `<path class="grid" d="M${BOX.left} ${py(value)}H${BOX.right}"/><text x="${BOX.left - 8}" y="${py(value) + 4}" text-anchor="end">${value}</text>`;
    }),
    ...ticks.map(
      (tick) =>
        `<path class="grid" d="M${px(tick)} ${BOX.top}V${BOX.bottom}"/><text x="${px(tick)}" y="${BOX.bottom + 18}" text-anchor="middle">${tick}</text>`,
    ),
    `<text x="${middle[0]}" y="20" text-anchor="middle" font-weight="bold">${escaped(title)}</text>`,
    `<text x="${middle[0]}" y="${HEIGHT - 14}" text-anchor="middle">${escaped(x)}</text>`,
    `<text transform="translate(16 ${middle[1]}) rotate(-90)" text-anchor="middle">${escaped(y)}</text>`,
    ...series.map(({ name, points }, i) => {
      const colour = COLOURS[i % COLOURS.length];
      const path = points.map(([a, b], n) => `${n === 0 ? 'M' : 'L'}${px(a)} ${py(b)}`).join('');
      const dots = points.map(([a, b]) => `<circle cx="${px(a)}" cy="${py(b)}" r="2.5" fill="${colour}"/>`).join('');
      const at = BOX.top + 12 + 20 * i;
      const key = `<path d="M${BOX.right + 14} ${at - 4}h18" stroke="${colour}" stroke-width="2"/><text x="${BOX.right + 38}" y="${at}">${escaped(name)}</text>`;
      return `<path d="${path}" fill="none" stroke="${colour}" stroke-width="2"/>${dots}${key}`;
    }),
  ];
  // A viewer that knows no colour schemes gets a grey that both grounds bear.
  const style = `text{fill:#767676;font:13px system-ui,sans-serif}.grid{stroke:#808080;stroke-opacity:.3}
@media (prefers-color-scheme:light){text{fill:#1f2328}}@media (prefers-color-scheme:dark){text{fill:#d1d7e0}}`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escaped(title)}">
<style>${style}</style>
${lines.join('\n')}
</svg>
`;
}

const round = (/** @type {number} */ value) => Math.round(value * 10) / 10;
const escaped = (/** @type {string} */ text) => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
