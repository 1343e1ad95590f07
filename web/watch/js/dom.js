// Elements made of names, attributes and text. There is no way in here to turn a text into markup.

/**
 * @param {string} tag
 * @param {Record<string, string | number | boolean | null | undefined>} attributes  null, undefined and false are left out.
 * @param {...(Node | string | null | undefined)} children  Strings become text.
 */
export function el(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

const SVG = "http://www.w3.org/2000/svg";

/** The same for SVG. */
export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** @param {string} id  @returns {HTMLElement} */
export function byId(id) {
  return document.getElementById(id);
}

/** Set a text only when it is another one, so that nothing is laid out, or read aloud, for nothing. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * Bring a list's elements in line with `items`, keeping those that stay, their focus too.
 * @template T
 * @param {HTMLElement} list
 * @param {T[]} items
 * @param {(item: T) => string} keyOf
 * @param {(item: T) => HTMLElement} make
 * @param {(node: HTMLElement, item: T) => void} update
 */
export function reconcile(list, items, keyOf, make, update) {
  const wanted = new Set(items.map(keyOf));
  const present = new Map();
  for (const node of [...list.children]) {
    if (wanted.has(node.dataset.key)) present.set(node.dataset.key, node);
    else node.remove();
  }
  let place = list.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    let node = present.get(key);
    if (!node) {
      node = make(item);
      node.dataset.key = key;
    }
    update(node, item);
    if (node === place) place = place.nextElementSibling;
    else list.insertBefore(node, place);
  }
}
