// The same in a worker of node:worker_threads.

import { Worker } from 'node:worker_threads';
import { connect } from 'tfjs-sparse/worker';

const worker = new Worker(new URL('./trainer.js', import.meta.url), { stdout: true, stderr: true });
const trainer = await connect(worker);
await trainer.build({ density: 0.2 });
const { history } = await trainer.fit({ data: 'train', epochs: 5, batchSize: 32, shuffle: false });
const inside = await trainer.call('inside');
trainer.terminate();
console.log(JSON.stringify({ losses: history.loss, accuracy: history.acc.at(-1), ...inside }));
