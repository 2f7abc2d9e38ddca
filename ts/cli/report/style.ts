// How a report looks: two columns and more on a wide screen, one on a phone, light or dark as the reader's system is.

/** Its eight colours differ for most eyes and have a contrast of 3 and more on their ground. */
export const STYLE = `
:root { color-scheme: light dark; --ground: #fff; --text: #1d232b; --muted: #69727d; --line: #d9dee4;
  --series-0: #0b62b8; --series-1: #c2500a; --series-2: #17804d; --series-3: #a8328a; --series-4: #0d7a86; --series-5: #8a5a00; --series-6: #6a4fc4; --series-7: #5f6670; }
@media (prefers-color-scheme: dark) { :root { --ground: #14181d; --text: #e4e8ed; --muted: #98a2ae; --line: #323a44;
  --series-0: #5aa9f5; --series-1: #f39a5c; --series-2: #4cc38a; --series-3: #e58ccb; --series-4: #4cc9d6; --series-5: #d9b34a; --series-6: #a995ff; --series-7: #a9b1bb; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1320px; padding: 1rem; background: var(--ground); color: var(--text); font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: .5rem 0 1rem; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .75rem; padding-top: .75rem; border-top: 1px solid var(--line); overflow-wrap: anywhere; }
h3 { font-size: 1rem; margin: 0 0 .25rem; overflow-wrap: anywhere; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 370px), 1fr)); gap: 2rem 1.5rem; align-items: start; margin-top: 1.5rem; }
figure { margin: 0; max-width: 460px; }
figure svg { display: block; width: 100%; height: auto; color: var(--text); --plot-background: var(--ground); }
div > figure + figure { margin-top: 1.5rem; }
.charts > figure + figure { margin-top: 0; }
figcaption, footer, .note { color: var(--muted); font-size: .85rem; margin-top: .35rem; }
dl { display: flex; flex-wrap: wrap; gap: .35rem 1.5rem; margin: 0 0 1rem; }
dt { color: var(--muted); font-size: .8rem; }
dd { margin: 0; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
.table { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .8rem .3rem 0; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); font-weight: normal; }
th:first-child { text-align: left; }
thead th { color: var(--muted); font-size: .85rem; }
.key { display: flex; flex-wrap: wrap; gap: 0 1rem; list-style: none; margin: 0 0 .4rem; padding: 0; font-size: .85rem; overflow-wrap: anywhere; }
.swatch { display: inline-block; width: .8em; height: .8em; margin-right: .4em; border-radius: 2px; }
.scale { display: flex; align-items: center; gap: .5rem; margin: 0 0 .35rem; font-size: .85rem; }
.scale span { width: 8rem; height: .8em; border: 1px solid var(--line); background: linear-gradient(to right, transparent, var(--to)); }
details { margin-top: 1.5rem; }
summary { cursor: pointer; }
footer { margin: 2.5rem 0 1rem; }
`;
