#!/usr/bin/env node
// The command line. Exit status: 0 done, 1 a fault of ours, 2 something the user can mend, 130 interrupted.

import { createRequire } from 'node:module';
import { Command, CommanderError } from 'commander';
import { FileError, OptionError, PatternError, ShapeError } from '../errors.js';
import {
  type BenchOptions,
  type ConvertOptions,
  type PruneOptions,
  type TrainOptions,
  withBenchOptions,
  withConvertOptions,
  withInspectOptions,
  withPruneOptions,
  withReportOptions,
  withTrainOptions,
} from './options.js';

const { version } = createRequire(import.meta.url)('../../package.json') as { version: string };

const program = new Command('tfjs-sparse').description('Truly sparse training on the CPU.').version(version).exitOverride();

// Commands are imported when they are called: tfjs takes longer to load than --help may take.

withTrainOptions(program.command('train').description('train a sparse perceptron or LeNet-5 on MNIST, or any data in IDX files')).action(
  async (options: TrainOptions, command: Command) => {
    const given = new Set(Object.keys(options).filter((name) => command.getOptionValueSource(name) === 'cli'));
    if (!(await (await import('./train.js')).train(options, given))) process.exitCode = 130;
  },
);

withReportOptions(program.command('report').description('write what training did as one HTML page')).action(
  async (runs: string[], options: { out?: string; json: boolean }) => (await import('./report.js')).report(runs, options),
);

withInspectOptions(program.command('inspect').description('show the layers and weights of a saved model')).action(
  async (model: string, options: { json: boolean }) => (await import('./inspect.js')).inspect(model, options),
);

withPruneOptions(program.command('prune').description('keep the largest weights of a saved model, as a sparse one')).action(
  async (model: string, out: string, options: PruneOptions) => (await import('./prune.js')).pruneSaved(model, out, options),
);

withConvertOptions(program.command('convert').description('write a saved model in another form')).action(
  async (model: string, out: string, options: ConvertOptions) => (await import('./convert.js')).convert(model, out, options),
);

withBenchOptions(program.command('bench').description('measure what sparse training gains on this machine, in under a minute')).action(
  async (options: BenchOptions) => (await import('./bench.js')).bench(options),
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
