import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));

export default defineConfig({
  resolve: {
    // The sources, where the package's own `imports` would find what was built from them.
    alias: {
      '#load': path('ts/wasm/load.node.ts'),
      '#files': path('ts/files/files.node.ts'),
      './binaries.js': path('dist/wasm/binaries.js'),
    },
  },
  test: {
    setupFiles: ['test/support/setup.ts'],
    globalSetup: ['test/support/temporary.ts'],
    include: ['test/**/*.test.ts'],
    testTimeout: 60_000,
    // Two cores: more workers only wait for each other.
    maxWorkers: 2,
  },
});
