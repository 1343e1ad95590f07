// Requests to this page's own server.

import { Api } from "../../../sdk/index.js";

/** Where the API is: beside the page, also behind a proxy that adds a prefix. */
export const BASE = new URL(".", document.baseURI);

const REQUEST_TIMEOUT_MS = 10_000;

const api = new Api(BASE, { timeoutMs: REQUEST_TIMEOUT_MS });

/**
 * @param {string} path  Relative to the API, without a leading slash.
 * @param {{method?: string, token?: string | null, body?: object}} options
 * @throws {import("../../../sdk/index.js").ChunkcrawlError}
 */
export function ask(path, { token = null, ...options } = {}) {
  return api.request(path, { auth: token, ...options });
}
