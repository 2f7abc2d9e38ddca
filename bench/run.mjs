// `npm run bench [-- NAME …] [--short]`: runs the benches; each checks its answer. --short runs few rounds and records nothing. --update is for `shares`.
// `results`, what methods learn, is here in short only: in full its scripts take hours, and are run one by one (docs/results.md).

const names = [
  'shares',
  'kernels',
  'large',
  'dense',
  'conv_dense',
  'conv_sparse',
  'top_k',
  'step',
  'cnn',
  'edits',
  'memory',
  'accuracy',
  'native',
  'shapes',
  'crossing',
  'engines',
];
const results = ['results/powerprop', 'results/lenet', 'results/set_fashion', 'results/cnn'];
const args = process.argv.slice(2);
const short = args.includes('--short');
if (short) names.push('results');
const update = args.includes('--update');
const chosen = args.filter((arg) => !arg.startsWith('--'));
const unknown = chosen.find((name) => !names.includes(name));
if (unknown) {
  console.error(`unknown bench ${unknown}: expected ${names.join(', ')}`);
  process.exit(2);
}

// tfjs greets every Node program with an advertisement for its native package.
const warn = console.warn;
console.warn = (...args) => {
  if (!String(args[0]).includes('you are running TensorFlow.js in Node.js')) warn(...args);
};

const wanted = chosen.length > 0 ? chosen : names;
for (const name of wanted.flatMap((name) => (name === 'results' ? results : name))) {
  console.log(`\n## ${name}\n`);
  const { run } = await import(name === 'native' ? './native/run.mjs' : `./${name}.mjs`);
  await run({ short, update });
}
