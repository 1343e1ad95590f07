// Waits that have a bound and leave no timer behind.

/** Wait for so long, or until `signal` is aborted if that is sooner; never throws. */
export function paused(delayMs, signal = null) {
  return new Promise((resolve) => {
    if (signal?.aborted) {
      resolve();
      return;
    }
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    // Longer than a timer can count would be at once.
    const timer = setTimeout(done, Math.min(delayMs, 2 ** 31 - 1));
    signal?.addEventListener("abort", done);
  });
}
