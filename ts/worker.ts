// The door to training beside the page: `connect` for the page, `serve` for the worker's script.

export { type ConnectOptions, connect, type NodeWorker, type SamplesLike, Trainer, type TrainerFitArgs } from './worker/connect.js';
export type { Progress } from './worker/control.js';
export { type Artifacts, type Built, type Data, type FitOptions, type Fitted, type Service, serve } from './worker/serve.js';
export type { Numbers, NumbersLike } from './worker/wire.js';
