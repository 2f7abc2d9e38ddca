// Real browsers, as installed: Chromium through playwright-core, and Firefox, which playwright drives only in a build of its own, through WebDriver BiDi.
// `scripts/browsers.sh` installs both. A page is watched from outside, so that a Content-Security-Policy cannot hide anything.

import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { chromium } from 'playwright-core';
import utils from 'playwright-core/lib/utilsBundle';

const NAMES = {
  Chromium: [process.env.TFJS_SPARSE_CHROMIUM, 'chromium', 'chromium-browser', 'google-chrome'],
  Firefox: [process.env.TFJS_SPARSE_FIREFOX, 'firefox-esr', 'firefox'],
};

/** @typedef {{ evaluate(expression: string): Promise<unknown>, errors: string[], close(): Promise<unknown> }} Page */

/** The path of an installed browser, by `which`. @param {keyof typeof NAMES} name */
function installed(name) {
  for (const candidate of NAMES[name].filter(Boolean)) {
    try {
      return execFileSync('which', [candidate], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
    } catch {}
  }
  throw new Error(`no ${name} is installed: run scripts/browsers.sh, or set TFJS_SPARSE_${name.toUpperCase()}`);
}

/** By playwright, with a new profile of its own, which it removes. */
export function launchChromium() {
  const executablePath = installed('Chromium');
  const quiet = ['--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run'];
  return chromium.launch({ executablePath, args: quiet, chromiumSandbox: process.getuid?.() !== 0, timeout: 60_000 });
}

async function openChromium() {
  const browser = await launchChromium();
  return {
    version: `Chromium ${browser.version()}`,
    async open(url) {
      const context = await browser.newContext();
      const page = await context.newPage();
      const errors = [];
      page.on('pageerror', (error) => errors.push(String(error)));
      page.on('console', (message) => message.type() === 'error' && errors.push(`console: ${message.text()}`));
      const protocol = await context.newCDPSession(page);
      await page.goto(url, { waitUntil: 'commit', timeout: 30_000 });
      const evaluate = async (expression) => {
        const { result, exceptionDetails } = await protocol.send('Runtime.evaluate', {
          expression,
          awaitPromise: true,
          returnByValue: true,
        });
        if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
        return result.value;
      };
      return { evaluate, errors, close: () => context.close() };
    },
    close: () => browser.close(),
  };
}

async function openFirefox() {
  const program = installed('Firefox');
  const profile = mkdtempSync(join(tmpdir(), 'firefox-'));
  const options = ['--headless', '--no-remote', '--profile', profile, '--remote-debugging-port=0', 'about:blank'];
  const child = spawn(program, options, { detached: true, stdio: ['ignore', 'ignore', 'pipe'] });
  const gone = new Promise((resolve) => child.once('close', resolve));
  let socket;
  const close = async () => {
    socket?.close();
    // Its group: a browser is many processes.
    if (child.exitCode === null && child.signalCode === null) process.kill(-child.pid, 'SIGKILL');
    await gone;
    rmSync(profile, { recursive: true, force: true, maxRetries: 10 });
  };
  try {
    const address = await new Promise((resolve, reject) => {
      let said = '';
      child.stderr.on('data', (chunk) => {
        said += chunk;
        const [, found] = said.match(/WebDriver BiDi listening on (ws:\S+)/) ?? [];
        if (found) resolve(found);
      });
      child.once('error', reject);
      gone.then((status) => reject(new Error(`${program} ended with status ${status}: ${said}`)));
      setTimeout(() => reject(new Error(`${program} did not start within 60 s: ${said}`)), 60_000).unref();
    });
    socket = new utils.ws(`${address}/session`);
    const waiting = new Map();
    const pages = new Map();
    let count = 0;
    await new Promise((resolve, reject) => {
      socket.onopen = resolve;
      socket.onerror = reject;
    });
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      if (message.id) {
        const { resolve, reject } = waiting.get(message.id);
        waiting.delete(message.id);
        if (message.type === 'success') resolve(message.result);
        else reject(new Error(`${message.error}: ${message.message}`));
      } else if (message.method === 'log.entryAdded' && message.params.level === 'error') {
        const { type, text, source } = message.params;
        // Firefox reports what a policy forbids as an error of JavaScript, beside the one that is thrown.
        const thrown = type === 'javascript' && !text.startsWith('Content-Security-Policy:');
        pages.get(source.context)?.push(thrown ? text : `console: ${text}`);
      }
    };
    socket.onclose = () => {
      for (const { reject } of waiting.values()) reject(new Error(`${program} is gone`));
    };
    const send = (method, params) =>
      new Promise((resolve, reject) => {
        waiting.set(++count, { resolve, reject });
        socket.send(JSON.stringify({ id: count, method, params }));
      });
    const { capabilities } = await send('session.new', { capabilities: {} });
    await send('session.subscribe', { events: ['log.entryAdded'] });
    return {
      version: `Firefox ${capabilities.browserVersion}`,
      async open(url) {
        const { userContext } = await send('browser.createUserContext', {});
        const { context } = await send('browsingContext.create', { type: 'tab', userContext });
        const errors = [];
        pages.set(context, errors);
        await send('browsingContext.navigate', { context, url, wait: 'none' });
        const evaluate = async (expression) => {
          const { result, exceptionDetails } = await send('script.evaluate', {
            expression,
            awaitPromise: true,
            target: { context },
          });
          if (exceptionDetails) throw new Error(exceptionDetails.text);
          return result.value;
        };
        const close = async () => {
          await send('browsingContext.close', { context });
          await send('browser.removeUserContext', { userContext });
        };
        return { evaluate, errors, close };
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

const OPEN = { Chromium: openChromium, Firefox: openFirefox };

/**
 * Starts a browser. `visit` opens a page in it, by itself, until its `<output>` has text, or something was thrown (unless
 * `heedless`), or `seconds` are over.
 * @param {keyof typeof NAMES} name
 */
export async function start(name) {
  const browser = await OPEN[name]();
  /** @param {string} url @returns {Promise<{ output: string, errors: string[] }>} */
  async function visit(url, { seconds = 30, heedless = false } = {}) {
    const page = await browser.open(url);
    try {
      const end = Date.now() + 1000 * seconds;
      for (;;) {
        // While a page is being replaced by another there is none to ask.
        const output = await page.evaluate("document.querySelector('output')?.textContent ?? ''").catch(() => '');
        if (output || (!heedless && page.errors.some((error) => !error.startsWith('console:')))) {
          await sleep(100); // what else it may have to say
          return { output, errors: page.errors };
        }
        if (Date.now() > end) throw new Error(`${name}, ${url}: nothing within ${seconds} s; errors: ${page.errors.join('; ') || 'none'}`);
        await sleep(50);
      }
    } finally {
      await page.close();
    }
  }
  return { name, version: browser.version, visit, close: browser.close };
}
