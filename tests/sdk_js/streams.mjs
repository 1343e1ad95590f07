// A server that answers with what a test gives it, in place of `fetch`; and time that passes when a test says so.

import { mock } from "node:test";

/** Let so much mocked time pass, and whatever happens meanwhile happen. */
export async function pass(ms, stepMs = 100) {
  for (let gone = 0; gone < ms; gone += stepMs) {
    mock.timers.tick(Math.min(stepMs, ms - gone));
    await settled();
  }
}

/** Until nothing more happens without time. */
export async function settled() {
  for (let turn = 0; turn < 4; turn += 1) await new Promise(setImmediate);
}

/**
 * Put a `fetch` in place whose answers are these, the last one again and again: `{text, ends, status, headers, fails}`.
 * @returns {{asked: [string, object][], cut: number}}
 */
export function answering(...answers) {
  const seen = { asked: [], cut: 0 };
  mock.method(globalThis, "fetch", async (url, { headers, signal }) => {
    seen.asked.push([`${url.pathname}${url.search}`, headers]);
    const answer = answers[Math.min(seen.asked.length, answers.length) - 1];
    if (answer.fails) throw new TypeError("no");
    const body = new ReadableStream({
      start(controller) {
        if (answer.text) controller.enqueue(new TextEncoder().encode(answer.text));
        if (answer.ends) controller.close();
        signal.addEventListener("abort", () => {
          seen.cut += 1;
          try {
            controller.error(new Error("cut"));
          } catch {
            // It had ended.
          }
        });
      },
    });
    return new Response(body, { status: answer.status ?? 200, headers: answer.headers ?? {} });
  });
  return seen;
}

/** An event as it stands in a stream. */
export function sse(type, data, id = "") {
  return `${id ? `id: ${id}\n` : ""}event: ${type}\ndata: ${JSON.stringify(data)}\n\n`;
}
