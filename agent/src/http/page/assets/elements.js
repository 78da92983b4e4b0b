// Makes and fills elements. All text from the host goes through textContent: a name can be anything, and is never markup.

const SVG = "http://www.w3.org/2000/svg";

export const find = (selector, below = document) => below.querySelector(selector);

function dressed(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

/** An element; strings among its children become text. */
export const element = (tag, attributes = {}, ...children) => dressed(document.createElement(tag), attributes, children);

export const drawing = (tag, attributes = {}, ...children) => dressed(document.createElementNS(SVG, tag), attributes, children);

/** Changes text only where it differs, so that a selection survives. */
export function say(where, text) {
  if (where.textContent !== text) where.textContent = text;
}

export function attribute(where, name, value) {
  if (value === null || value === undefined) where.removeAttribute(name);
  else if (where.getAttribute(name) !== String(value)) where.setAttribute(name, value);
}

/** Makes `where` have as many children as there are `items`, and lets `show` fill each. */
export function each(where, items, make, show) {
  while (where.children.length > items.length) where.lastElementChild.remove();
  while (where.children.length < items.length) where.append(make());
  items.forEach((item, index) => show(where.children[index], item));
}

/**
 * Rows of a table, changed in place. A cell is text, or `{text, note, error, past, state, kind, level}`: a line below, what is
 * wrong, what was wrong, a coloured word, a class, a bar.
 */
export function rows(body, data) {
  each(body, data, () => element("tr"), (row, cells) => each(row, cells, () => element("td"), fillCell));
}

function fillCell(cell, content) {
  const { text, note, error, past, state, kind, level } = typeof content === "object" ? content : { text: content };
  attribute(cell, "class", kind);
  const parts = [["span", text, state && "state"], ["small", note, "note"], ["small", error, "error wide"], ["small", past, "note"]].filter((part) => part[1]);
  if (level !== undefined && level !== null) parts.push(["meter", "", null]);
  const tags = parts.map((part) => part[0]).join();
  if (cell.dataset.parts !== tags) {
    cell.dataset.parts = tags;
    cell.replaceChildren(...parts.map((part) => element(part[0])));
  }
  parts.forEach(([tag, words, style], index) => {
    const part = cell.children[index];
    attribute(part, "class", style);
    if (tag === "meter") {
      for (const [name, value] of [["max", 1], ["high", 0.85], ["optimum", 0], ["aria-label", text]]) attribute(part, name, value);
      part.value = level;
    } else say(part, words);
    if (index === 0) attribute(part, "data-state", state);
  });
}

/** Names and values of a description list. */
export function facts(list, pairs) {
  each(list, pairs.filter((pair) => pair[1]), () => element("div", {}, element("dt"), element("dd")), (row, [name, value, note]) => {
    say(row.children[0], name);
    const [text, below] = [value, note ?? ""];
    const dd = row.children[1];
    if (!dd.firstElementChild) dd.append(element("span"), element("small", { class: "note" }));
    say(dd.children[0], text);
    say(dd.children[1], below);
  });
}
