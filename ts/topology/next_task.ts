// Letting everything else that waits have its turn, at once.

type Later = (resolve: () => void) => void;

let later: Later | undefined;

/**
 * Resolves in a task of its own, so that messages, timers and painting come first. tfjs's `nextFrame` waits for the screen instead: up to 16 ms without
 * work each time, and in a hidden tab for ever.
 */
export function nextTask(): Promise<void> {
  later ??= fastest();
  return new Promise(later);
}

function fastest(): Later {
  if (typeof setImmediate === 'function') return (resolve) => void setImmediate(resolve);
  // Some environments of tests have neither.
  if (typeof MessageChannel === 'undefined') return (resolve) => void setTimeout(resolve);
  const { port1, port2 } = new MessageChannel();
  const waiting: (() => void)[] = [];
  port1.onmessage = () => waiting.shift()?.();
  return (resolve) => {
    waiting.push(resolve);
    port2.postMessage(undefined);
  };
}
