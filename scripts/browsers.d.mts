// What tests in TypeScript use of browsers.mjs.

import type { Browser } from 'playwright-core';

export function launchChromium(): Promise<Browser>;
