// The declarations are written by hand: what they name is there, and what is there they name.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

import * as sdk from "../../../sdk-js/src/index.js";
import { Reach } from "../../../sdk-js/src/view/paths.js";

const TYPES = new URL("../../../sdk-js/types/", import.meta.url);
const text = readdirSync(TYPES)
  .filter((name) => name.endsWith(".d.ts"))
  .map((name) => readFileSync(new URL(name, TYPES), "utf8"))
  .join("\n");

/** Classes by name, each with the names of its members, static ones apart. */
function declared() {
  const classes = new Map();
  for (const [, name, body] of text.matchAll(/^export class (\w+)[^{]*\{(\}|[\s\S]*?^\})/gm)) {
    const members = { static: new Set(), own: new Set() };
    for (const line of body.split("\n")) {
      const found = /^  (static )?(?:readonly |get )?(\w+)\??[(:<]/.exec(line);
      if (found && found[2] !== "constructor") members[found[1] ? "static" : "own"].add(found[2]);
    }
    classes.set(name, members);
  }
  return classes;
}

const own = (what) => Object.getOwnPropertyNames(what).filter((name) => name !== "constructor");
const isClass = (what) => typeof what === "function" && /^class\b/.test(Function.prototype.toString.call(what));
const classes = declared();
// It is given out by a view, never made.
const values = { ...sdk, Reach };

test("every class, function and constant is declared, and is there", () => {
  const named = [...text.matchAll(/^export (?:class|function|const) (\w+)/gm)].map(([, name]) => name);
  assert.deepEqual([...new Set(named)].sort(), Object.keys(values).sort());
});

/** What a class and those it descends from declare. */
function members(value) {
  const name = Object.keys(values).find((one) => values[one] === value);
  return name === undefined ? [] : [...classes.get(name).own, ...members(Object.getPrototypeOf(value))];
}

/** Of the language, and of the tables by which classes of errors and outcomes are described. */
const ORDINARY = ["length", "name", "prototype", "reason", "ok", "hint", "hintOf"];
/** What every object has; what fills a `Reach` is the view's business. */
const INNER = ["toString", "add"];

for (const [name, value] of Object.entries(values).filter(([, value]) => isClass(value))) {
  test(`${name}: every public method and accessor is declared`, () => {
    const known = [...members(value), ...INNER];
    assert.deepEqual(own(value.prototype).filter((member) => !known.includes(member)), []);
    const statics = [...classes.get(name).static, ...ORDINARY];
    assert.deepEqual(own(value).filter((member) => !statics.includes(member)), []);
  });

  test(`${name}: every declared method is there`, () => {
    for (const [, member] of text
      .match(new RegExp(`^export class ${name}\\b[^{]*\\{(\\}|[\\s\\S]*?^\\})`, "m"))[0]
      .matchAll(/^  (\w+)(?:<[^>]*>)?\(/gm)) {
      if (member !== "constructor") assert.equal(typeof value.prototype[member], "function", member);
    }
    for (const member of classes.get(name).static) assert.ok(member in value, member);
  });
}
