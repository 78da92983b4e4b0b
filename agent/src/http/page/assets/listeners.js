// Who listens where, as a table that can be sorted and filtered.

import { attribute, element, find, rows, say } from "./elements.js";
import { plural } from "./words.js";

const FEW = 15; // rows before more are asked for

const COLUMNS = [
  { title: "Port", of: (row) => row.port, kind: "first" },
  { title: "Process", of: (row) => row.name ?? "" },
  { title: "Process id", of: (row) => row.pid ?? 0, kind: "number wide" },
  { title: "Unit or container", of: (row) => row.home, kind: "wide" },
  { title: "Address", of: (row) => row.places },
];

let all = [];
let total = 0;
let sorted = { column: 0, down: false };
let most = FEW;

const section = find("#listeners");
const filter = find("#listeners-filter");

/** One row for each process and run of ports, however many addresses it listens on. */
function merged(listeners) {
  const byPort = new Map();
  for (const one of listeners) {
    const key = `${one.port} ${one.pid ?? ""}`;
    const row = byPort.get(key) ?? { ...one, last: one.port, home: one.unit ?? one.container?.slice(0, 12) ?? "", locals: [] };
    row.locals.push(one);
    byPort.set(key, row);
  }
  const runs = [];
  const open = new Map(); // the newest run of each process and its places
  for (const row of byPort.values()) {
    row.places = places(row.locals);
    const key = `${row.pid ?? row.name ?? ""} ${row.places}`;
    const run = open.get(key);
    if (run && run.last + 1 === row.port) run.last = row.port;
    else {
      open.set(key, row);
      runs.push(row);
    }
  }
  return runs;
}

function places(locals) {
  const every = locals.filter((one) => one.local.startsWith("*:"));
  const named = locals.filter((one) => !one.local.startsWith("*:")).map((one) => one.local.slice(0, one.local.lastIndexOf(":")));
  const six = every.some((one) => one.ipv6);
  const four = every.some((one) => !one.ipv6);
  const words = six ? (four ? ["every address"] : ["every address (IPv6 socket)"]) : four ? ["every IPv4 address"] : [];
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
  const text = (row) => [row.port, row.last, row.name, row.pid, row.home, row.exe, row.places].join(" ").toLowerCase();
  const within = (row, word) => row.port <= Number(word) && Number(word) <= row.last;
  const fitting = all.filter((row) => words.every((word) => within(row, word) || text(row).includes(word)));
  const { of } = COLUMNS[sorted.column];
  const order = (a, b) => (of(a) < of(b) ? -1 : of(a) > of(b) ? 1 : a.port - b.port);
  fitting.sort((a, b) => (sorted.down ? -order(a, b) : order(a, b)));
  const cells = (row) => [
    { text: row.last > row.port ? `${row.port}–${row.last}` : String(row.port), note: row.last > row.port ? plural(row.last - row.port + 1, "port", "ports") : "", kind: "first" },
    { text: row.name ?? "not known", note: row.name ? "" : "of another user: the agent may not look" },
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
