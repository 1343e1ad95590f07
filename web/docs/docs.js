// Draws openapi.json.  Only through text nodes: nothing that stands in the document can become markup.

const DEPTH_MAX = 4;
const METHODS = ["get", "post", "put", "patch", "delete"];
const main = document.querySelector("#endpoints");

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children.filter((child) => child !== null && child !== ""));
  return made;
}

function table(heads, rows) {
  const cells = (names, kind) => element("tr", {}, ...names.map((cell) => element(kind, {}, cell)));
  return element(
    "table",
    {},
    element("thead", {}, cells(heads, "th")),
    element("tbody", {}, ...rows.map((row) => cells(row, "td"))),
  );
}

class Reader {
  constructor(api) {
    this.api = api;
  }

  resolved(schema) {
    const path = schema?.$ref?.replace(/^#\//, "").split("/") ?? null;
    if (path === null) return schema ?? {};
    return path.reduce((here, part) => here?.[part.replaceAll("~1", "/").replaceAll("~0", "~")], this.api) ?? {};
  }

  // What a value may be, in a few words.
  kind(given) {
    const schema = this.resolved(given);
    const either = schema.anyOf ?? schema.oneOf;
    if (either) return either.map((one) => this.kind(one)).join(" or ");
    if (schema.enum) return schema.enum.map((one) => JSON.stringify(one)).join(", ");
    if (schema.const !== undefined) return JSON.stringify(schema.const);
    if (schema.type === "array") return `list of ${this.kind(schema.items)}`;
    return [schema.type ?? "anything", schema.format ? `(${schema.format})` : "", this.bounds(schema)].filter(Boolean).join(" ");
  }

  bounds(schema) {
    const said = [];
    if (schema.minLength !== undefined || schema.maxLength !== undefined)
      said.push(`${schema.minLength ?? 0} to ${schema.maxLength ?? "any number of"} characters`);
    if (schema.minimum !== undefined) said.push(`from ${schema.minimum}`);
    if (schema.maximum !== undefined) said.push(`up to ${schema.maximum}`);
    if (schema.pattern) said.push(`like ${schema.pattern}`);
    return said.join(", ");
  }

  // Rows [name, kind, description] of an object's fields, those of objects within it too.
  rows(given, prefix = "", depth = 0) {
    let schema = this.resolved(given);
    if (schema.type === "array") schema = this.resolved(schema.items);
    const needed = new Set(schema.required ?? []);
    const found = [];
    for (const [name, field] of Object.entries(schema.properties ?? {})) {
      const note = needed.has(name) ? "" : " (may be left out)";
      found.push([element("code", {}, prefix + name), this.kind(field) + note, this.resolved(field).description ?? field.description ?? ""]);
      if (depth < DEPTH_MAX) found.push(...this.rows(field, `${prefix}${name}.`, depth + 1));
    }
    return found;
  }

  fields(title, content) {
    const schema = Object.values(content ?? {})[0]?.schema;
    if (!schema) return [];
    const rows = this.rows(schema);
    const body = rows.length ? table(["field", "kind", "what"], rows) : element("p", {}, this.kind(schema));
    return [element("h3", {}, title), body];
  }

  parameters(list) {
    const rows = (list ?? []).map((given) => {
      const one = this.resolved(given);
      const note = one.required ? "" : " (may be left out)";
      return [element("code", {}, one.name), `${one.in}: ${this.kind(one.schema)}${note}`, one.description ?? ""];
    });
    return rows.length ? [element("h3", {}, "Parameters"), table(["name", "kind", "what"], rows)] : [];
  }

  credentials(operation) {
    const schemes = this.api.components?.securitySchemes ?? {};
    const names = (operation.security ?? []).flatMap((one) => Object.keys(one));
    const words = names.map((name) => `${schemes[name]?.scheme ?? ""} (${schemes[name]?.description ?? name})`);
    return words.length ? [element("p", {}, `Credentials: ${words.join(", or ")}`)] : [];
  }

  endpoint(method, path, operation) {
    const answers = Object.entries(operation.responses ?? {});
    const fine = answers.filter(([status]) => status < "300");
    const inside = element(
      "div",
      { class: "inside" },
      element("p", {}, operation.description ?? ""),
      ...this.credentials(operation),
      ...this.parameters(operation.parameters),
      ...this.fields("Body", operation.requestBody?.content),
      ...fine.flatMap(([status, one]) => this.fields(`Answer ${status}`, one.content)),
      element("h3", {}, "Statuses"),
      table(["status", "what"], answers.map(([status, one]) => [status, (one.description ?? "").replaceAll("`", "")])),
    );
    return element(
      "details",
      { id: operation.operationId ?? "" },
      element(
        "summary",
        {},
        element("span", { class: "method" }, method.toUpperCase()),
        element("span", { class: "path" }, path),
        " ",
        element("span", { class: "what" }, operation.summary ?? ""),
      ),
      inside,
    );
  }

  sections() {
    const byTag = new Map();
    for (const [path, methods] of Object.entries(this.api.paths ?? {})) {
      for (const method of METHODS.filter((one) => methods[one])) {
        const tag = methods[method].tags?.[0] ?? "others";
        if (!byTag.has(tag)) byTag.set(tag, []);
        byTag.get(tag).push(this.endpoint(method, path, methods[method]));
      }
    }
    return [...byTag].map(([tag, endpoints]) => element("section", {}, element("h2", {}, tag), ...endpoints));
  }
}

function filter(words) {
  for (const section of main.querySelectorAll("section")) {
    let shown = 0;
    for (const one of section.querySelectorAll("details")) {
      one.hidden = !one.textContent.toLowerCase().includes(words.toLowerCase());
      shown += one.hidden ? 0 : 1;
    }
    section.hidden = shown === 0;
  }
}

async function draw() {
  const answer = await fetch("openapi.json");
  if (!answer.ok) throw new Error(`openapi.json: ${answer.status}`);
  const api = await answer.json();
  main.replaceChildren(...new Reader(api).sections());
  document.querySelector("#filter").addEventListener("input", (event) => filter(event.target.value));
  document.getElementById(location.hash.slice(1))?.setAttribute("open", "");
}

draw().catch((error) => main.replaceChildren(element("p", {}, `The document can't be shown: ${error.message}`)));
