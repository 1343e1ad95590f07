// Rows of a table as one asks for them: sorted and filtered. Pure.

/** By value; numbers in names count as numbers, nothing comes last in either direction. */
export function compare(a, b, descending) {
  const nothing = Number(isNothing(a)) - Number(isNothing(b));
  if (nothing) return nothing;
  const order = typeof a === "number" && typeof b === "number" ? a - b : byName.compare(String(a), String(b));
  return descending ? -order : order;
}

const byName = new Intl.Collator("en", { numeric: true });

/**
 * @template T
 * @param {T[]} rows
 * @param {(row: T) => unknown} valueOf  What they are sorted by.
 * @param {(row: T) => string} nameOf  What decides between equals.
 * @returns {T[]} A new array.
 */
export function sorted(rows, valueOf, descending, nameOf) {
  const keyed = rows.map((row) => ({ row, value: valueOf(row) }));
  keyed.sort((a, b) => compare(a.value, b.value, descending) || compare(nameOf(a.row), nameOf(b.row), false));
  return keyed.map(({ row }) => row);
}

/** Those that have every word of `text` somewhere in theirs. */
export function filtered(rows, text, textOf) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return rows;
  return rows.filter((row) => {
    const found = textOf(row).toLowerCase();
    return words.every((word) => found.includes(word));
  });
}

function isNothing(value) {
  return value === null || value === undefined || value === "";
}
