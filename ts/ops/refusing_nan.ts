// One message for the one thing that goes wrong in numbers that are ranked: NaN.

import { OptionError } from '../errors.js';

/** Runs `rank`, and says of what there was a NaN in words of the caller. */
export function refusingNaN<T>(what: string, rank: () => T): T {
  try {
    return rank();
  } catch (cause) {
    const { message } = cause as Error;
    if (!message.includes('NaN')) throw cause;
    throw new OptionError(what, 'numbers (has the training diverged?)', message.replace(/^expected numbers, received /, ''), { cause });
  }
}
