import assert from "node:assert/strict";
import { test } from "node:test";

import { defaultBase } from "../../../sdk-js/src/transport/address.js";

for (const [environment, base] of [
  [{}, "http://127.0.0.1:8000"],
  [{ CHUNKCRAWL_PORT: "9000" }, "http://127.0.0.1:9000"],
  [{ CHUNKCRAWL_PORT: "" }, "http://127.0.0.1:8000"],
  [{ CHUNKCRAWL_HOST: "0.0.0.0", CHUNKCRAWL_PORT: "9000" }, "http://127.0.0.1:9000"],
  [{ CHUNKCRAWL_HOST: "::" }, "http://[::1]:8000"],
  [{ CHUNKCRAWL_BASE: "https://world.example/game/", CHUNKCRAWL_PORT: "9" }, "https://world.example/game"],
]) {
  test(`${JSON.stringify(environment)} is ${base}`, () => assert.equal(defaultBase(environment), base));
}

for (const [name, value] of [
  ["CHUNKCRAWL_PORT", "http"],
  ["CHUNKCRAWL_PORT", "0"],
  ["CHUNKCRAWL_PORT", "70000"],
  ["CHUNKCRAWL_BASE", "world.example"],
  ["CHUNKCRAWL_BASE", "ftp://world.example"],
]) {
  test(`${name}=${value} is refused by name`, () => assert.throws(() => defaultBase({ [name]: value }), new RegExp(name)));
}
