// What is looked at, as the part of the address after #, which never reaches a server: `#/PAGE` or `#/PAGE/ID`.

const FIRST = "overview";

/** @returns {{page: string, id: string | null}} */
export function routeOf(hash) {
  const found = /^#\/([a-z]+)(?:\/(.{1,400}))?$/.exec(hash);
  if (!found) return { page: FIRST, id: null };
  return { page: found[1], id: found[2] === undefined ? null : decoded(found[2]) };
}

/** @param {string} page  @param {string | null} id */
export function hrefOf(page, id = null) {
  return id === null ? `#/${page}` : `#/${page}/${inPath(id)}`;
}

/** Any text as one part of a path. */
export function inPath(text) {
  return encodeURIComponent(String(text).replace(/[\ud800-\udfff]/gu, "\ufffd"));
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}
