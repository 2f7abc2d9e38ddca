// `npm run test:package`: what is packed, as users get it. `-- bundlers worker` runs these parts alone.
// Needs Chromium and Firefox (scripts/browsers.sh), and the npm registry for other versions of Node.

import { start } from '../../scripts/browsers.mjs';
import { pack } from './project.mjs';
import { expected } from './same.mjs';

const PARTS = ['contents', 'types', 'sizes', 'node', 'bundlers', 'served', 'registered', 'worker'];
const IN_BROWSERS = ['bundlers', 'served', 'registered', 'worker'];
/** In all; a browser or server that hangs must not hold up whoever waits for this. */
const LIMIT = 15 * 60_000;

const asked = process.argv.slice(2);
const unknown = asked.find((name) => !PARTS.includes(name));
if (unknown) throw new Error(`unknown part ${unknown}: expected some of ${PARTS.join(', ')}`);
const parts = PARTS.filter((name) => asked.length === 0 || asked.includes(name));

const failures = [];
const began = Date.now();
const seconds = (since) => ((Date.now() - since) / 1000).toFixed(1).padStart(5);

/** Runs one check, says how it went, and goes on. @param {string} name @param {() => unknown} body */
async function check(name, body) {
  const since = Date.now();
  try {
    const said = await body();
    console.log(`${seconds(since)} s  ok    ${name}${said ? `: ${said}` : ''}`);
  } catch (error) {
    failures.push(name);
    console.log(`${seconds(since)} s  FAIL  ${name}\n${String(error.stack ?? error).replace(/^/gm, '          ')}`);
  }
}

const packed = pack();
console.log(`${seconds(began)} s  packed and installed: ${packed.files.length} files, ${packed.size} bytes`);
const browsers = [];
const close = async () => {
  for (const browser of browsers.splice(0)) await browser.close().catch(() => {});
  packed.remove();
};
const late = setTimeout(async () => {
  console.error(`not done after ${LIMIT / 60_000} minutes`);
  await close();
  process.exit(1);
}, LIMIT);
try {
  if (parts.some((part) => IN_BROWSERS.includes(part))) {
    for (const name of ['Chromium', 'Firefox']) browsers.push(await start(name));
    console.log(`         ${browsers.map(({ version }) => version).join(', ')}`);
  }
  for (const part of parts) {
    console.log(`\n${part}`);
    const { test } = await import(`./${part}.mjs`);
    await test({ check, packed, browsers, expected: () => expected(packed.folder) });
  }
} finally {
  clearTimeout(late);
  await close();
}
console.log(`\n${seconds(began)} s  ${failures.length ? `failed: ${failures.join(', ')}` : 'all of it passed'}`);
process.exit(failures.length ? 1 : 0);
