// Short forms of names that can still be told apart. Pure.

export const NAME_MAX_CHARS = 22;
const HEAD_CHARS = 12;
const TAIL_CHARS = 8;
/** Of the form that shows where two long names differ: head, what is there, tail. */
const PARTS = [4, 10, 5];

/**
 * @param {{id: string, name: string}[]} agents
 * @returns {Map<string, {full: string, label: string}>} By id: a name that nobody else here has, and a form of it of
 *   at most NAME_MAX_CHARS that nobody else here has either.
 */
export function namesOf(agents) {
  const sorted = [...agents].sort((a, b) => (a.id < b.id ? -1 : 1));
  const counts = new Map();
  for (const { name } of sorted) counts.set(name, (counts.get(name) ?? 0) + 1);
  // An id is nobody else's. A name that is somebody else's id counts as taken, too.
  const ids = new Set(sorted.map(({ id }) => id));
  const fullOf = ({ id, name }) => (name !== id && (counts.get(name) > 1 || ids.has(name)) ? `${name} (${id})` : name);
  const found = new Map(sorted.map((agent) => [agent.id, { full: fullOf(agent), label: "" }]));
  for (const [form, group] of grouped([...found.values()], ({ full }) => shortened(full))) {
    if (group.length === 1) group[0].label = form;
    else tellApart(group);
  }
  return found;
}

/** Give long names that look alike forms that show where they differ; numbers where that is too little. */
function tellApart(group) {
  const from = common(group.map(({ full }) => full));
  for (const [form, alike] of grouped(group, ({ full }) => around(full, from))) {
    alike.forEach((one, i) => {
      const number = `#${i + 1}`;
      one.label = alike.length === 1 ? form : `${Array.from(form).slice(0, NAME_MAX_CHARS - number.length).join("")}${number}`;
    });
  }
}

/** The head and the tail, where ids and numbers differ most often. */
export function shortened(name) {
  const letters = Array.from(name);
  if (letters.length <= NAME_MAX_CHARS) return name;
  return `${letters.slice(0, HEAD_CHARS).join("")}…${letters.slice(-TAIL_CHARS).join("")}`;
}

/** The head, what stands where names differ, and the tail. */
function around(name, differs) {
  const letters = Array.from(name);
  const [head, window, tail] = PARTS;
  const from = Math.max(head, Math.min(differs, letters.length - tail - window));
  const parts = [letters.slice(0, head), letters.slice(from, from + window), letters.slice(-tail)];
  return parts.map((part) => part.join("")).join("…");
}

/** How many letters all begin with. */
function common(names) {
  const [first, ...others] = names.map((name) => Array.from(name));
  let length = 0;
  while (length < first.length && others.every((other) => other[length] === first[length])) length += 1;
  return length;
}

function grouped(items, keyOf) {
  const groups = new Map();
  for (const item of items) {
    const key = keyOf(item);
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(item);
  }
  return groups;
}
