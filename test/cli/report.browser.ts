// The report of a real run, opened from its file.

import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launchChromium } from '../../scripts/browsers.mjs';
import { expectAccessible, listen } from '../support/browser.js';
import { runCommand } from '../support/command.js';
import { dataFolder } from '../support/idx.js';

let browser: Browser;
let url: string;

beforeAll(async () => {
  const [data, folder] = [await dataFolder(), await mkdtemp(join(tmpdir(), 'report-'))];
  const common = ['--data', data, '--layers', '32', '--epochs', '3', '--batch', '20', '--density', '0.3'];
  for (const [name, own] of [
    ['sparse', ['--method', 'ggr', '--every', '5']],
    ['dense', ['--dense']],
  ] as const) {
    const { status, err } = await runCommand(folder, ['train', ...common, ...own, '--out', join(folder, name)]);
    expect(status, err).toBe(0);
  }
  const out = join(folder, 'both.html');
  expect((await runCommand(folder, ['report', join(folder, 'sparse'), join(folder, 'dense'), '--out', out])).status).toBe(0);
  url = pathToFileURL(out).href;
  browser = await launchChromium();
});

afterAll(() => browser?.close());

test.each([
  ['light', 1200],
  ['dark', 390],
] as const)('in the %s, %i pixels wide: asks for nothing, says nothing, in nobody’s way', async (colorScheme, width) => {
  const page = await browser.newPage({ colorScheme, viewport: { width, height: 900 } });
  const said = listen(page);
  const asked: string[] = [];
  page.on('request', (request) => asked.push(request.url()));
  await page.goto(url);
  expect(await page.title()).toBe('2 training runs');
  expect(await page.locator('svg').count()).toBeGreaterThan(5);
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(width);
  // The page allows itself no script; axe comes from outside.
  expect(said).toEqual([]);
  expect(asked).toEqual([url]);
  await page.close();
  const context = await browser.newContext({ bypassCSP: true, colorScheme, viewport: { width, height: 900 } });
  const seen = await context.newPage();
  await seen.goto(url);
  await expectAccessible(seen);
  await context.close();
});
