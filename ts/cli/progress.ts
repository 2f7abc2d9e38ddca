// A progress bar in a terminal; in a log file, a line now and then.

import { Presets, SingleBar } from 'cli-progress';

export interface Progress {
  update(steps: number, loss?: number): void;
  stop(): void;
}

export function startProgress(title: string, total: number, done: number): Progress {
  const bar = new SingleBar(
    {
      format: `${title} {bar} {percentage}% · {value}/{total} · ETA {eta_formatted}{note}`,
      barsize: 30,
      hideCursor: true,
      etaBuffer: 100,
      noTTYOutput: true,
      notTTYSchedule: 10_000,
      gracefulExit: false,
    },
    Presets.shades_classic,
  );
  bar.start(total, done, { note: '' });
  return {
    update: (steps, loss) => bar.update(steps, { note: loss === undefined ? '' : ` · loss ${loss.toFixed(4)}` }),
    stop: () => bar.stop(),
  };
}
