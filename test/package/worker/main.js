// Pages with a worker; `?name` says which.

import { ShapeError, WorkerError } from 'tfjs-sparse';
import { connect } from 'tfjs-sparse/worker';

const start = () => new Worker(new URL('./trainer.worker.js', import.meta.url), { type: 'module' });
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const said = (promise) =>
  promise.then(
    () => 'nothing',
    (error) => `${error instanceof WorkerError} ${error.message}`,
  );

function samples(count) {
  const x = Float32Array.from({ length: 20 * count }, (_, i) => ((i * i * 31) % 101) / 50 - 1);
  const y = Float32Array.from({ length: 3 * count }, (_, i) => Number(i % 3 === 0));
  return { x: { data: x, shape: [count, 20] }, y: { data: y, shape: [count, 3] } };
}

/** Resolves when a fit without end has begun; `fitted` is how it ends. */
async function fitting(trainer) {
  await trainer.build({});
  let progress;
  let fitted;
  await new Promise((resolve, reject) => {
    const onProgress = (now) => {
      progress = now;
      resolve();
    };
    fitted = trainer.fit({ ...samples(96), epochs: 1e6, interval: 0, onProgress });
    fitted.catch(reject);
  });
  return { fitted, steps: () => progress.step };
}

const pages = {
  /** MNIST in the worker, while this thread does nothing but draw. */
  async mnist() {
    const trainer = await connect(start());
    await trainer.call('loadMnist');
    await trainer.build({ mnist: true });
    await pause(500);
    const tasks = [];
    const observer = new PerformanceObserver((list) => tasks.push(...list.getEntries().map(({ duration }) => duration)));
    observer.observe({ type: 'longtask' });
    let frames = 0;
    let last = performance.now();
    let gap = 0;
    let training = true;
    const frame = (now) => {
      frames++;
      gap = Math.max(gap, now - last);
      last = now;
      if (training) requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
    const began = performance.now();
    let shows = 0;
    const show = ({ epoch, step, logs }) => {
      document.title = `epoch ${epoch}, step ${step}, loss ${logs.loss.toFixed(3)}`;
      shows++;
    };
    const { history } = await trainer.fit({ data: 'mnist', epochs: 1, batchSize: 64, onProgress: show });
    const seconds = (performance.now() - began) / 1000;
    training = false;
    await pause(200);
    tasks.push(...observer.takeRecords().map(({ duration }) => duration));
    const { acc } = await trainer.evaluate({ data: 'mnist test' });
    return { tasks, fps: frames / seconds, gap, seconds, shows, loss: history.loss, accuracy: acc };
  },

  async deaths() {
    const none = await said(connect(new Worker('./none.js', { type: 'module' })));
    const throws = await said(connect(new Worker('./throws.js', { type: 'module' })));
    const silent = await said(connect(new Worker('./silent.js', { type: 'module' }), { timeout: 300 }));
    const closing = await connect(start());
    const { fitted } = await fitting(closing);
    const closed = said(fitted);
    closing.call('close').catch(() => {});
    const worker = start();
    const killed = await connect(worker);
    const { fitted: under } = await fitting(killed);
    const gone = said(under);
    worker.terminate(); // behind the trainer's back
    const terminated = await connect(start());
    const { fitted: last } = await fitting(terminated);
    const ended = said(last);
    terminated.terminate();
    return { none, throws, silent, closed: await closed, after: await said(closing.build({})), gone: await gone, ended: await ended };
  },

  async control() {
    const trainer = await connect(start());
    const error = await trainer.call('misshape').catch((thrown) => thrown);
    const { fitted, steps } = await fitting(trainer);
    await trainer.pause();
    await trainer.predict(samples(2).x);
    await pause(200); // for what is on its way
    const halted = steps();
    await pause(300);
    const still = steps();
    await trainer.resume();
    while (steps() < still + 5) await pause(10);
    await trainer.cancel();
    const { cancelled } = await fitted;
    const { data } = await trainer.predict(samples(5).x);
    await trainer.save('indexeddb://packed', { includeOptimizer: true });
    await trainer.build({});
    const other = await trainer.predict(samples(5).x);
    trainer.terminate();
    const second = await connect(start());
    await second.load('indexeddb://packed');
    const loaded = await second.predict(samples(5).x);
    const on = await second.fit({ ...samples(96), epochs: 1 });
    return {
      error: [error instanceof ShapeError, error.message, error.expected, error.received],
      paused: still - halted,
      cancelled,
      same: data.every((value, i) => value === loaded.data[i]),
      different: data.some((value, i) => value !== other.data[i]),
      on: on.history.loss.length,
    };
  },

  /** The script takes its time before it serves; and the page takes its own before it connects. */
  async late() {
    const slow = await connect(new Worker(new URL('./slow.worker.js', import.meta.url), { type: 'module' }), { timeout: 10_000 });
    await slow.build({});
    const worker = start();
    await pause(1500);
    const early = await connect(worker, { timeout: 10_000 });
    await early.build({});
    return [await slow.predict(samples(2).x), await early.predict(samples(2).x)].map(({ shape }) => shape);
  },
};

const result = await pages[location.search.slice(1)]();
document.querySelector('output').textContent = JSON.stringify(result);
