// The built demo, served from a folder of its own as any static site, in Chromium, as a visitor would use it.
// TFJS_SPARSE_SCREENSHOTS names a folder for pictures to look at.

import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { launchChromium } from '../../scripts/browsers.mjs';
import { expectAccessible, listen } from '../support/browser.js';
import '@tensorflow/tfjs-backend-cpu';

const root = fileURLToPath(new URL('../..', import.meta.url));
const site = join(root, 'demo-dist');
const pictures = process.env.TFJS_SPARSE_SCREENSHOTS;
const TYPES: Record<string, string> = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.wasm': 'application/wasm' };

let server: Server;
let url: string;
let browser: Browser;
let context: BrowserContext;
let page: Page;
let said: string[];

beforeAll(async () => {
  execFileSync(process.execPath, [join(root, 'node_modules/vite/bin/vite.js'), 'build', join(root, 'demo'), '--logLevel', 'error'], {
    // vitest's own would make it a build for development.
    env: { ...process.env, NODE_ENV: 'production' },
  });
  server = createServer((request, response) => {
    const path = normalize(decodeURIComponent((request.url ?? '').split('?')[0])).replace(/^\/a\/b\//, '');
    try {
      const file = path === '' ? 'index.html' : path;
      response.setHeader('Content-Type', TYPES[extname(file)] ?? 'application/octet-stream').end(readFileSync(join(site, file)));
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/a/b/`;
  browser = await launchChromium();
});

afterAll(async () => {
  await browser?.close();
  server?.close();
});

beforeEach(async () => {
  await open({});
});

afterEach(async () => {
  await context.close();
});

async function open(options: Parameters<Browser['newContext']>[0]): Promise<void> {
  await context?.close();
  context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  page = await context.newPage();
  said = listen(page);
}

const status = () => page.textContent('#status');
const cells = (column: 'sparse' | 'dense') => page.locator(`#numbers td:nth-of-type(${column === 'sparse' ? 1 : 2})`).allTextContents();

async function ended(): Promise<string> {
  await page.waitForFunction(() => /^(Done|That failed)/.test(document.getElementById('status')?.textContent ?? ''), null, {
    timeout: 100_000,
  });
  return (await status()) as string;
}

async function picture(name: string): Promise<void> {
  if (!pictures) return;
  mkdirSync(pictures, { recursive: true });
  await page.screenshot({ path: join(pictures, `${name}.png`), fullPage: true });
}

/** Presses the button that draws a digit of the test set and waits for what it is taken for. */
async function showExample(): Promise<string> {
  await page.focus('#example');
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => /it is a 7/.test(document.getElementById('answer')?.textContent ?? ''));
  return (await page.textContent('#answer')) as string;
}

/** Draws a line downwards, meant as a one; what a network of some seconds makes of it is its own affair. */
async function draw(): Promise<void> {
  await page.locator('#bars').scrollIntoViewIfNeeded();
  const box = (await page.locator('#pad').boundingBox()) as { x: number; y: number; width: number; height: number };
  await page.mouse.move(box.x + box.width / 2 + 8, box.y + box.height * 0.2);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width / 2 - 8, box.y + box.height * 0.8, { steps: 10 });
  await page.mouse.up();
  await page.waitForFunction(() => /^A \d, with/.test(document.getElementById('answer')?.textContent ?? ''));
}

/** The model as a visitor saves it, loaded on Node. */
async function download(): Promise<tfl.LayersModel> {
  await page.click('#download');
  const folder = mkdtempSync(join(tmpdir(), 'demo-'));
  await page.waitForSelector('#files a');
  const links = await page.locator('#files a').all();
  expect(links).toHaveLength(2);
  for (const link of links) {
    const [download] = await Promise.all([page.waitForEvent('download'), link.click()]);
    await download.saveAs(join(folder, download.suggestedFilename()));
  }
  await import('../../ts/index.js');
  await tf.setBackend('cpu');
  const model = await tfl.loadLayersModel(`file://${folder}`);
  rmSync(folder, { recursive: true });
  return model;
}

test('trains above 95 %, by keyboard alone; classifies what is drawn; the model can be downloaded and loaded', async () => {
  await page.goto(`${url}?seconds=20`);
  await expectAccessible(page);
  await page.evaluate(() => {
    const tasks: number[] = [];
    Object.assign(globalThis, { tasks });
    new PerformanceObserver((list) => tasks.push(...list.getEntries().map(({ duration }) => duration))).observe({ type: 'longtask' });
  });
  await page.focus('[name=seconds]');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  expect(await ended()).toMatch(/^Done: \d+\.\d+ % of the 10 000 test images right with [\d,]+ steps; the dense twin \d+\.\d+ % with/);
  for (const row of ['sparse', 'dense'] as const) {
    const [accuracy, loss, milliseconds, steps, weights, bytes] = (await cells(row)).map((text) =>
      Number.parseFloat(text.replaceAll(',', '')),
    );
    if (row === 'sparse') expect(accuracy).toBeGreaterThan(95);
    expect(weights).toBe(row === 'sparse' ? 26620 : 266200);
    for (const number of [loss, milliseconds, steps, bytes]) expect(number).toBeGreaterThan(0);
  }
  console.log((await cells('sparse')).join(' | '), '\n', (await cells('dense')).join(' | '));
  const tasks = await page.evaluate(() => (globalThis as unknown as { tasks: number[] }).tasks);
  console.log(`tasks above 50 ms on the page's thread while it trained: ${tasks.map(Math.round).join(', ') || 'none'}`);
  expect(await page.getAttribute('#accuracy', 'aria-label')).toMatch(/^sparse 9\d\.\d, dense twin 9\d\.\d$/);
  const [middle, around] = ((await page.getAttribute('#pixels', 'aria-label')) as string).match(/\d+\.\d/g) as string[];
  expect(Number(middle)).toBeGreaterThan(2 * Number(around));

  await draw();
  expect(await showExample()).toMatch(/^A 7, with \d+ %; it is a 7\.$/);
  await picture('wide-light');

  const model = await download();
  const { layers } = await import('../../ts/index.js');
  const hidden = model.getLayer('hidden1') as InstanceType<typeof layers.SparseDense>;
  expect(hidden).toBeInstanceOf(layers.SparseDense);
  expect(model.predict(tf.zeros([1, 784]))).toMatchObject({ shape: [1, 10] });
  expect(said).toEqual([]);
});

test('LeNet-5 learns, classifies what is drawn, and can be downloaded and loaded', async () => {
  await page.goto(url);
  await page.selectOption('[name=model]', 'lenet5');
  expect(await page.textContent('#network')).toMatch(/^LeNet-5: convolutions of 5×5/);
  expect(await page.isDisabled('[name=layers]')).toBe(true);
  await page.fill('[name=seconds]', '600');
  await page.keyboard.press('Enter');
  // Steps, not seconds, make the accuracy: however slow the machine is, it has learnt as much.
  await page.waitForFunction(
    () => Number(document.querySelector('#numbers tr:nth-child(4) td')?.textContent?.replace(',', '')) >= 300,
    null,
    { timeout: 150_000 },
  );
  expect(new URL(page.url()).search).toBe('?model=lenet5&seconds=600');
  await page.click('#stop');
  expect(await ended()).toMatch(/^Done/);
  const [accuracy, , milliseconds, , weights, bytes] = (await cells('sparse')).map((text) => Number.parseFloat(text.replaceAll(',', '')));
  // Of the 61 470 of the twin. Guessing is right for 10 % of the images.
  expect([weights, (await cells('dense'))[4]]).toEqual([6147, '61,470']);
  expect(accuracy).toBeGreaterThan(40);
  for (const number of [milliseconds, bytes]) expect(number).toBeGreaterThan(0);
  console.log((await cells('sparse')).join(' | '), '\n', (await cells('dense')).join(' | '));
  expect(await page.getAttribute('#densities', 'aria-label')).toBe('conv1 81, conv2 9.5, hidden1 7.7, hidden2 14, output 79');
  expect(await page.getAttribute('#pixels', 'aria-label')).toBe('227 of 2400 weights of conv2, 2.4 of 25 in a window');
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(1280);
  await draw();
  expect(await showExample()).toMatch(/^A \d, with \d+ %; it is a 7\.$/);
  await expectAccessible(page);
  await picture('lenet-wide-light');
  await page.emulateMedia({ colorScheme: 'dark' });
  await page.setViewportSize({ width: 390, height: 844 });
  // The charts are drawn anew.
  await page.waitForTimeout(300);
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(390);
  await expectAccessible(page);
  await picture('lenet-phone-dark');

  const model = await download();
  const { layers } = await import('../../ts/index.js');
  expect([model.getLayer('conv1'), model.getLayer('conv2')].map((layer) => layer instanceof layers.SparseConv2D)).toEqual([true, true]);
  expect(model.predict(tf.zeros([1, 28, 28, 1]))).toMatchObject({ shape: [1, 10] });
  expect(said).toEqual([]);
}, 240_000);

test('GGR moves density between layers; pause and stop; on a phone, in the dark', async () => {
  await open({ viewport: { width: 390, height: 844 }, colorScheme: 'dark', hasTouch: true });
  await page.goto(`${url}?method=ggr&seconds=600&every=10&images=10000&optimizer=momentum&alpha=2`);
  await page.click('#train');
  await page.waitForFunction(
    () => /[1-9]/.test(document.querySelector('#numbers tr:nth-child(4) td:nth-of-type(2)')?.textContent ?? ''),
    null,
    { timeout: 60_000 },
  );
  await page.waitForTimeout(3000);
  await page.click('#pause');
  await page.waitForFunction(() => document.getElementById('status')?.textContent === 'Paused.');
  await page.waitForTimeout(800);
  const halted = await cells('sparse');
  await page.waitForTimeout(1000);
  expect(await cells('sparse')).toEqual(halted);
  await page.click('#pause');
  await page.waitForFunction((before) => document.querySelector('#numbers tr:nth-child(4) td')?.textContent !== before, halted[3]);
  await page.click('#stop');
  expect(await ended()).toMatch(/^Done/);
  const densities = ((await page.getAttribute('#densities', 'aria-label')) as string).match(/[\d.]+$|[\d.]+(?=,)/g) as string[];
  // ERK gives these layers 7.6, 22.7 and 100 %.
  expect(densities.map(Number)).not.toEqual([7.6, 23, 100]);
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(390);
  await expectAccessible(page);
  await picture('phone-dark');
  expect(said).toEqual([]);
});

test('the address shares the settings; one that is none is named', async () => {
  await page.goto(url);
  await page.fill('[name=density]', '5');
  await page.selectOption('[name=method]', 'rigl');
  await page.click('#share');
  expect(new URL(page.url()).search).toBe('?method=rigl&density=5');
  await page.reload();
  expect([await page.inputValue('[name=density]'), await page.inputValue('[name=method]')]).toEqual(['5', 'rigl']);
  // An address from before there was a choice.
  expect([await page.inputValue('[name=model]'), await page.isDisabled('[name=layers]')]).toEqual(['mlp', false]);
  await page.fill('[name=layers]', '100');
  await page.selectOption('[name=model]', 'lenet5');
  await page.click('#share');
  // LeNet-5 has no widths to choose.
  expect(new URL(page.url()).search).toBe('?model=lenet5&method=rigl&density=5');
  await page.reload();
  expect([await page.inputValue('[name=model]'), await page.isDisabled('[name=layers]')]).toEqual(['lenet5', true]);
  await page.goto(`${url}?density=700&method=magic&model=alexnet&batch=32`);
  expect(await status()).toBe('Not a setting, and left out: model=alexnet, method=magic, density=700');
  expect([await page.inputValue('[name=density]'), await page.inputValue('[name=batch]')]).toEqual(['10', '32']);
  expect(said).toEqual([]);
});

test('stop before it has begun is a stop', async () => {
  await open({ serviceWorkers: 'block' });
  await page.route('**/test-labels.bin', async (route) => {
    await new Promise((resolve) => setTimeout(resolve, 1000));
    await route.continue();
  });
  await page.goto(`${url}?seconds=600&images=10000`);
  await page.click('#train');
  await page.click('#stop');
  await page.waitForFunction(() => document.getElementById('status')?.textContent === 'Stopped before anything was learnt.');
  expect(await page.isEnabled('#train')).toBe(true);
});

test('works offline once loaded', async () => {
  await page.goto(`${url}?seconds=1&images=10000`);
  await page.evaluate(() => navigator.serviceWorker.ready.then(() => true));
  await page.click('#train');
  expect(await ended()).toMatch(/^Done/);
  await context.setOffline(true);
  await page.reload();
  await page.click('#train');
  expect(await ended()).toMatch(/^Done/);
});

test('a half-downloaded file and a worker that cannot start are said, and it goes on from there', async () => {
  await open({ serviceWorkers: 'block' });
  const half = readFileSync(join(site, 'mnist/train-images-0.bin')).subarray(0, 500_000);
  await page.route('**/train-images-0.bin', (route) => route.fulfill({ body: half }));
  await page.goto(`${url}?seconds=1&images=10000`);
  await page.click('#train');
  expect(await ended()).toMatch(/^That failed: train-images-0\.bin: expected gzip data, received a broken or half-downloaded file/);
  await page.unrouteAll();
  await page.click('#train');
  expect(await ended()).toMatch(/^Done/);
  await page.route('**/*network.worker*', (route) => route.fulfill({ status: 404 }));
  await page.reload();
  await page.click('#train');
  expect(await ended()).toBe('That failed: the worker ended: its script could not be loaded');
  await page.unrouteAll();
  await page.click('#train');
  expect(await ended()).toMatch(/^Done/);
});
