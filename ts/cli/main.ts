#!/usr/bin/env node
// The command line. Exit status: 0 done, 1 a fault of ours, 2 something the user can mend, 130 interrupted.

import { createRequire } from 'node:module';
import { Command, CommanderError } from 'commander';
import { FileError, OptionError, PatternError, ShapeError } from '../errors.js';
import '../index.js';
import { bench } from './bench.js';
import { type BenchOptions, type TrainOptions, withBenchOptions, withTrainOptions } from './options.js';
import { train } from './train.js';

const { version } = createRequire(import.meta.url)('../../package.json') as { version: string };

const program = new Command('tfjs-sparse').description('Truly sparse training on the CPU.').version(version).exitOverride();

withTrainOptions(program.command('train').description('train a sparse perceptron on MNIST, or any data in IDX files')).action(
  async (options: TrainOptions, command: Command) => {
    const given = new Set(Object.keys(options).filter((name) => command.getOptionValueSource(name) === 'cli'));
    if (!(await train(options, given))) process.exitCode = 130;
  },
);

withBenchOptions(program.command('bench').description('measure what sparse training gains on this machine, in under a minute')).action(
  (options: BenchOptions) => bench(options),
);

// tfjs greets every Node program with an advertisement for its native package.
const warn = console.warn;
console.warn = (...args: unknown[]) => {
  if (!String(args[0]).includes('you are running TensorFlow.js in Node.js')) warn(...args);
};

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    // It has printed its own line.
    process.exitCode = error.exitCode === 0 ? 0 : 2;
  } else if ([FileError, OptionError, PatternError, ShapeError].some((kind) => error instanceof kind)) {
    console.error(`tfjs-sparse: ${(error as Error).message}`);
    process.exitCode = 2;
  } else {
    console.error(error);
    process.exitCode = 1;
  }
}
