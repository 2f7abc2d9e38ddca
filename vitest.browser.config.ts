// Tests that drive a real browser: `npm run test:demo`.

import { defineConfig } from 'vitest/config';

export default defineConfig({
  resolve: { alias: (await import('./vitest.config.js')).default.resolve?.alias ?? {} },
  test: {
    globalSetup: ['test/support/temporary.ts'],
    include: ['test/**/*.browser.ts'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    fileParallelism: false,
  },
});
