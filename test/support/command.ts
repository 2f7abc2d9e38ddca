// The command line as a user runs it, in a process of its own.

import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

export interface Ended {
  status: number | null;
  out: string;
  err: string;
}

/** Runs the command in the folder `cwd`; `interruptAfter` sends Ctrl-C when that text has come out. */
export function runCommand(cwd: string, args: string[], interruptAfter?: string): Promise<Ended> {
  const child = spawn(process.execPath, [main, ...args], { cwd });
  return new Promise((resolve) => {
    const ended: Ended = { status: null, out: '', err: '' };
    let sent = false;
    const watch = (stream: 'out' | 'err') => (chunk: Buffer) => {
      ended[stream] += chunk;
      if (interruptAfter && !sent && ended[stream].includes(interruptAfter)) {
        sent = true;
        child.kill('SIGINT');
      }
    };
    child.stdout.on('data', watch('out'));
    child.stderr.on('data', watch('err'));
    child.on('close', (status) => resolve({ ...ended, status }));
  });
}
