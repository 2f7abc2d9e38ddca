// Letting everything else that waits have its turn, at once.

/**
 * Resolves in a task of its own, so that messages, timers and painting come first. tfjs's `nextFrame` waits for the screen instead: up to 16 ms without
 * work each time, and in a hidden tab for ever.
 */
export const nextTask: () => Promise<void> =
  typeof setImmediate === 'function' ? () => new Promise((resolve) => setImmediate(resolve)) : byMessage();

function byMessage(): () => Promise<void> {
  const { port1, port2 } = new MessageChannel();
  const waiting: (() => void)[] = [];
  port1.onmessage = () => waiting.shift()?.();
  return () =>
    new Promise((resolve) => {
      waiting.push(resolve);
      port2.postMessage(undefined);
    });
}
