// Where the server is, when nobody says.

const USUAL_BASE = "http://127.0.0.1:8000";
const ANY_ADDRESS = new Map([
  ["", "127.0.0.1"],
  ["0.0.0.0", "127.0.0.1"],
  ["::", "::1"],
]);

/**
 * In a browser the page's own server; else `CHUNKCRAWL_BASE`, else this machine at `CHUNKCRAWL_HOST` and
 * `CHUNKCRAWL_PORT`.
 * @throws {TypeError} One of them is no address or port; the text names the variable.
 */
export function defaultBase(environment = globalThis.process?.env) {
  if (environment === undefined) return globalThis.location?.origin ?? USUAL_BASE;
  const { CHUNKCRAWL_BASE: named, CHUNKCRAWL_HOST: host = "", CHUNKCRAWL_PORT: port = "8000" } = environment;
  if (named) {
    if (!isAddress(named)) throw new TypeError(`CHUNKCRAWL_BASE: an address like ${USUAL_BASE} is needed`);
    return named.replace(/\/+$/, "");
  }
  const known = ANY_ADDRESS.get(host) ?? host;
  const base = `http://${known.includes(":") && !known.includes("[") ? `[${known}]` : known}:${port || "8000"}`;
  if (!/^[0-9]*$/.test(port) || port === "0" || !isAddress(base)) {
    throw new TypeError("CHUNKCRAWL_PORT: a number of 1 to 65535 is needed, or CHUNKCRAWL_BASE with a whole address");
  }
  return base;
}

function isAddress(text) {
  try {
    return /^https?:$/.test(new URL(text).protocol);
  } catch {
    return false;
  }
}
