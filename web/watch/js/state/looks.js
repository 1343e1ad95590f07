// How agents are told apart: a colour, a mark and a sign for each, and a name that nobody else in sight has. Pure.
//
// Where an agent begins is decided by its id alone, so that it looks the same on every page and every day; only when
// somebody in sight has that look already does it take the next one that is free, and then keeps it.

import { namesOf, shortened } from "./names.js";

/**
 * Eight colours, each at least 13 (of 100, in OKLab) from every other, also as people with protanopia, deuteranopia or
 * tritanopia see them (tests/browser/test_agent_looks.py). Yellow is left out, it is gold's.
 */
export const COLOURS = [
  { fill: "#56b4e9", ink: "#06202e" },
  { fill: "#d55e00", ink: "#1a0800" },
  { fill: "#3350c4", ink: "#ffffff" },
  { fill: "#babc80", ink: "#1f2008" },
  { fill: "#923002", ink: "#ffffff" },
  { fill: "#7af4fb", ink: "#04282b" },
  { fill: "#976586", ink: "#ffffff" },
  { fill: "#603e68", ink: "#ffffff" },
];
/** A band across the token, for those whose colour is taken. */
export const MARKS = ["plain", "belt", "cap"];
const SLOTS = COLOURS.length * MARKS.length;
const KNOWN_MAX = 500;
const LETTERS = Array.from("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");

/**
 * @typedef {object} Look
 * @property {string} fill  @property {string} ink  @property {string} mark  One of MARKS.
 * @property {string} sign  One or two characters.
 * @property {string} full  Its name; with its id where somebody else in sight has the same name.
 * @property {string} label  The same, short.
 */

export class Looks {
  /** @type {Map<string, {slot: number, sign: string, name: string}>} Who was seen last is last. */
  #known = new Map();
  #present = new Map();
  #names = new Map();

  /** Nobody was ever seen: looks begin anew with who is seen next. */
  startOver() {
    this.#known.clear();
    this.#present = new Map();
    this.#names = new Map();
  }

  /** Who is in sight now. @param {Iterable<{id: string, name: string}>} agents */
  update(agents) {
    const now = new Map([...agents].map(({ id, name }) => [id, name]));
    if (same(now, this.#present)) return;
    const stay = new Set([...now].filter(([id, name]) => this.#present.get(id) === name).map(([id]) => id));
    const slots = new Map();
    const signs = new Set();
    for (const id of stay) this.#take(slots, signs, this.#known.get(id));
    const come = [...now.keys()].filter((id) => !stay.has(id)).sort();
    for (const id of come) this.#come(id, now.get(id), slots, signs);
    this.#present = now;
    this.#names = namesOf([...now].map(([id, name]) => ({ id, name })));
    this.#forget();
  }

  /** @returns {Look} Also of those who are not in sight; theirs is what they had, or would have alone. */
  of(id) {
    const known = this.#known.get(id);
    const { fill, ink, mark } = appearance(known?.slot ?? homeOf(id));
    const name = known?.name ?? id;
    const { full, label } = this.#names.get(id) ?? { full: name, label: shortened(name) };
    return { fill, ink, mark, sign: known?.sign ?? signsOf(id)[0], full, label };
  }

  #come(id, name, slots, signs) {
    const before = this.#known.get(id);
    const slot = freeSlot(before?.slot ?? homeOf(id), slots);
    const wanted = before && before.name === name ? [before.sign, ...signsOf(name)] : signsOf(name);
    const one = { slot, sign: freeSign(wanted, signs), name };
    this.#known.delete(id);
    this.#known.set(id, one);
    this.#take(slots, signs, one);
  }

  #take(slots, signs, { slot, sign }) {
    slots.set(slot, (slots.get(slot) ?? 0) + 1);
    signs.add(sign);
  }

  #forget() {
    for (const id of this.#known.keys()) {
      if (this.#known.size <= KNOWN_MAX) return;
      if (!this.#present.has(id)) this.#known.delete(id);
    }
  }
}

/** The colour that an id begins with. */
function homeOf(id) {
  let hash = 0x811c9dc5;
  for (let i = 0; i < id.length; i += 1) hash = Math.imul(hash ^ id.charCodeAt(i), 0x01000193);
  // The last bits of FNV are weak; mix once more.
  hash ^= hash >>> 15;
  return (Math.imul(hash, 0x2c1b3c6d) >>> 8) % COLOURS.length;
}

function appearance(slot) {
  return { ...COLOURS[slot % COLOURS.length], mark: MARKS[Math.floor(slot / COLOURS.length)] };
}

/** The wanted slot, else another colour, else another mark; with more agents than slots the least used one. */
function freeSlot(wanted, taken) {
  const order = [wanted];
  for (let row = 0; row < SLOTS; row += COLOURS.length) {
    for (let step = 0; step < COLOURS.length; step += 1) order.push(row + ((wanted + step) % COLOURS.length));
  }
  const least = Math.min(...order.map((slot) => taken.get(slot) ?? 0));
  return order.find((slot) => (taken.get(slot) ?? 0) === least);
}

function freeSign(wanted, taken) {
  return wanted.find((sign) => !taken.has(sign)) ?? anySign(wanted[0], taken);
}

/** A letter of its own and one of the alphabet; then any two. */
function anySign(first, taken) {
  const heads = [Array.from(first)[0], ...LETTERS];
  for (const head of heads) {
    for (const letter of LETTERS) if (!taken.has(head + letter)) return head + letter;
  }
  return first;
}

/**
 * What an agent's token may bear, the best first: the number that its name ends with, or the first letter of its last
 * word; then that with the first letter of another word; then letters of the last word.
 */
export function signsOf(name) {
  const number = /(\d{1,2})$/.exec(name)?.[1];
  const words = name.split(/[^\p{L}\p{N}]+/u).filter((word) => /\p{L}/u.test(word));
  const firsts = words.map((word) => Array.from(word)[0].toUpperCase()).reverse();
  if (number) return [number, ...firsts.map((letter) => letter + number.slice(-1))];
  const last = Array.from(words.at(-1) ?? "").map((letter) => letter.toUpperCase());
  if (last.length === 0) return [Array.from(name.replace(/[^\p{L}\p{N}]/gu, "") || "?")[0]];
  return [last[0], ...firsts.slice(1).map((letter) => letter + last[0]), ...last.slice(1).map((letter) => last[0] + letter)];
}

function same(a, b) {
  if (a.size !== b.size) return false;
  for (const [id, name] of a) if (b.get(id) !== name) return false;
  return true;
}
