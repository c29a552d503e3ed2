// An exception that nobody meant ends an instance with a trap, whose frames are the interpreter's own. These wrap what is exported, so that a
// bug reads as one.

/** A failure that is meant. componentize-js takes what `payload` holds for the error of a `result`. */
export class Failed extends Error {
  constructor(kind, message, code, retryAfterMs) {
    super(message);
    this.payload = { kind, message, code, retryAfterMs };
  }
}

/** A bug in words, for whoever mends it. */
function bug(error) {
  const place = String(error?.stack ?? '').split('\n')[0];
  return `a bug in this connector: ${error}, at ${place}`;
}

/** For what may fail: a bug is a fatal failure, which stops the destination and loses nothing. A failure that was meant goes through. */
export function guarded(call) {
  try {
    return call();
  } catch (error) {
    if (error instanceof Failed) throw error;
    throw new Failed('fatal', bug(error));
  }
}

/** For what cannot fail: the host shows what was written last to standard error. */
export function reported(call) {
  try {
    return call();
  } catch (error) {
    console.error(bug(error));
    throw error;
  }
}
