// Who listens where, as a table that can be sorted and filtered.

import { attribute, element, find, rows, say } from "./elements.js";
import { plural } from "./words.js";

const RUNS = 5; // runs of ports that are written out in a row
const FEW = 15; // rows before more are asked for

const COLUMNS = [
  { title: "Process", of: (row) => row.name ?? "" },
  { title: "Ports", of: (row) => row.runs[0][0] },
  { title: "Process id", of: (row) => row.pid ?? 0, kind: "number wide" },
  { title: "Unit or container", of: (row) => row.home, kind: "wide" },
  { title: "Address", of: (row) => row.places },
];

let all = [];
let total = 0;
let sorted = { column: 1, down: false };
let most = FEW;

const section = find("#listeners");
const filter = find("#listeners-filter");

/** One row for each process and the addresses it listens on, with its ports as runs. */
function merged(listeners) {
  const byPort = new Map();
  for (const one of listeners) {
    const key = `${one.port} ${one.pid ?? ""}`;
    if (!byPort.has(key)) byPort.set(key, []);
    byPort.get(key).push(one);
  }
  const found = new Map();
  for (const locals of byPort.values()) {
    const [one] = locals;
    const where = places(locals);
    const key = `${one.pid ?? one.name ?? ""} ${where}`;
    if (!found.has(key)) found.set(key, { ...one, home: one.unit ?? one.container?.slice(0, 12) ?? "", places: where, runs: [] });
    const { runs } = found.get(key);
    if (runs.length > 0 && runs.at(-1)[1] + 1 === one.port) runs.at(-1)[1] = one.port;
    else runs.push([one.port, one.port]);
  }
  return [...found.values()];
}

/** Runs of ports in words: not all of them, if there are many. */
function portsOf({ runs }) {
  const words = runs.slice(0, RUNS).map(([first, last]) => (first === last ? first : `${first}–${last}`)).join(", ");
  const sum = (some) => some.reduce((ports, [first, last]) => ports + last - first + 1, 0);
  const rest = sum(runs.slice(RUNS));
  return { text: rest > 0 ? `${words} and ${plural(rest, "more", "more")}` : words, note: sum(runs) > 1 ? plural(sum(runs), "port", "ports") : "" };
}

function places(locals) {
  const every = locals.filter((one) => one.local.startsWith("*:"));
  const named = locals.filter((one) => !one.local.startsWith("*:")).map((one) => one.local.slice(0, one.local.lastIndexOf(":")));
  const six = every.some((one) => one.ipv6);
  const four = every.some((one) => !one.ipv6);
  const words = six ? (four ? ["all"] : ["all (IPv6 socket)"]) : four ? ["all IPv4"] : [];
  return [...words, ...new Set(named)].join(", ");
}

export function build() {
  COLUMNS.forEach((column, index) => {
    const button = element("button", { type: "button" }, column.title, element("span", { class: "arrow", "aria-hidden": "true" }));
    button.addEventListener("click", () => {
      sorted = { column: index, down: sorted.column === index && !sorted.down };
      show();
    });
    find("thead tr", section).append(element("th", { scope: "col", class: column.kind ?? null }, button));
  });
  filter.addEventListener("input", () => {
    most = FEW;
    show();
  });
}

export function setPorts(ports) {
  all = merged(ports.listeners);
  total = ports.listeners_total;
  section.hidden = false;
  show();
}

function show() {
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  const text = (row) => [...row.runs.flat(), row.name, row.pid, row.home, row.exe, row.places].join(" ").toLowerCase();
  const has = (row, word) => row.runs.some(([first, last]) => first <= Number(word) && Number(word) <= last);
  const fitting = all.filter((row) => words.every((word) => has(row, word) || text(row).includes(word)));
  const { of } = COLUMNS[sorted.column];
  const order = (a, b) => (of(a) < of(b) ? -1 : of(a) > of(b) ? 1 : a.runs[0][0] - b.runs[0][0]);
  fitting.sort((a, b) => (sorted.down ? -order(a, b) : order(a, b)));
  const cells = (row) => [
    { text: row.name ?? "not known", kind: "short", note: row.name ? "" : "the agent may not look" },
    portsOf(row),
    { text: row.pid ? String(row.pid) : "–", kind: "number wide" },
    { text: row.home || "–", kind: "wide" },
    row.places,
  ];
  rows(find("tbody", section), fitting.slice(0, most).map(cells));
  [...find("thead tr", section).children].forEach((head, index) => {
    attribute(head, "aria-sort", index === sorted.column ? (sorted.down ? "descending" : "ascending") : null);
  });
  more(fitting.length);
}

function more(fitting) {
  const line = find("#listeners-more");
  const hidden = fitting - Math.min(fitting, most);
  const unsaid = total > all.length && all.length >= 5000 ? " The agent tells the first 5,000 sockets." : "";
  if (fitting === 0) say(line, all.length === 0 ? "Nobody listens." : "Nobody fits the filter.");
  else if (hidden === 0) say(line, unsaid);
  else {
    const button = element("button", { type: "button", class: "plain" }, `Show ${plural(hidden, "more", "more")}`);
    button.addEventListener("click", () => {
      most = Infinity;
      show();
    });
    line.replaceChildren(button, unsaid);
  }
}
