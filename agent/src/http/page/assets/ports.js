// The range of ports as a picture: a cell for each port, its shape the state, its colour the owner.

import { attribute, each, element, find, say } from "./elements.js";
import { NAMED, palette, shape } from "./shapes.js";
import { STATES, clock, count } from "./words.js";

const COLUMNS = [10, 20, 25, 50, 100, 125, 200, 250, 400, 500];
const NAMES = Object.keys(STATES);

/** What the picture is drawn from. `state` and `owner` are by position; `owner` −1 is unknown. */
export const model = { ranges: [], size: 0, state: new Uint8Array(), owner: new Int16Array(), owners: [], listeners: [], columns: 1, cell: 5 };

let told = null; // the last picture that the agent told
let chosen = null; // what the legend singles out: {state} or {owner}
let cursor = 0; // the position of the keyboard
let pointed = null; // the position under the pointer
const colours = new Map(); // owners to their colour's number, for as long as they have one

const canvas = find("#port-cells");
const here = find("#port-here");
const frame = find("#port-cursor");

export function portAt(position) {
  let rest = position;
  for (const [first, last] of model.ranges) {
    if (rest <= last - first) return first + rest;
    rest -= last - first + 1;
  }
  return null;
}

export function positionOf(port) {
  let before = 0;
  for (const [first, last] of model.ranges) {
    if (port >= first && port <= last) return before + port - first;
    before += last - first + 1;
  }
  return null;
}

/** The left upper corner and the size of a cell, in pixels of the canvas. */
export function cellAt(position) {
  const { columns, cell } = model;
  return { x: (position % columns) * cell, y: Math.floor(position / columns) * cell, cell };
}

export function build() {
  canvas.addEventListener("pointermove", (event) => pointAt(event));
  canvas.addEventListener("pointerdown", (event) => {
    const position = under(event);
    if (position !== null) cursor = position;
    pointAt(event);
  });
  canvas.addEventListener("pointerleave", () => {
    pointed = null;
    tell();
  });
  canvas.addEventListener("keydown", step);
  new ResizeObserver(() => draw()).observe(canvas.parentElement);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    if (told !== null) legends();
    draw();
  });
}

export function setScan(scan) {
  find("#ports").hidden = !scan.built_in;
  const none = find("#ports-none");
  none.hidden = told !== null;
  say(none, scan.on ? "The first scan has not ended yet." : "Ports are not scanned. Start the agent with --port-scan to see here who has which.");
}

export function setPorts(ports) {
  told = ports;
  model.ranges = ports.ranges;
  model.size = ports.total;
  model.state = new Uint8Array(ports.total).fill(NAMES.indexOf("free"));
  model.owner = new Int16Array(ports.total).fill(-1);
  model.owners = ports.owners;
  model.listeners = ports.listeners;
  for (const [first, length, state, owner] of ports.cells) {
    const from = positionOf(first);
    model.state.fill(Math.max(0, NAMES.indexOf(state)), from, from + length);
    model.owner.fill(owner, from, from + length);
  }
  cursor = Math.min(cursor, model.size - 1);
  find("#ports-picture").hidden = false;
  find("#ports-none").hidden = true;
  const ranges = ports.ranges.map(([first, last]) => (first === last ? first : `${first}–${last}`)).join(", ");
  say(find("#ports-title"), `Ports ${ranges}`);
  say(find("#ports-sums"), `${count(ports.available)} of ${count(ports.total)} available, looked at ${clock(Date.parse(ports.scanned_at))}`);
  each(find("#ports-warnings"), ports.warnings, () => element("li"), say);
  colour();
  legends();
  draw();
}

/** Gives the owners of most ports a colour, and lets them keep it while they are among those. */
function colour() {
  const sums = new Map();
  model.owner.forEach((owner) => owner >= 0 && sums.set(owner, (sums.get(owner) ?? 0) + 1));
  model.sums = [...sums].map(([owner, ports]) => ({ owner, ports, name: model.owners[owner] })).sort((a, b) => b.ports - a.ports || (a.name < b.name ? -1 : 1));
  const named = new Set(model.sums.slice(0, NAMED).map((sum) => sum.name));
  for (const name of [...colours.keys()]) if (!named.has(name)) colours.delete(name);
  for (const name of named) {
    if (colours.has(name)) continue;
    const taken = new Set(colours.values());
    colours.set(name, [...Array(NAMED).keys()].find((number) => !taken.has(number)));
  }
}

/** The number of a cell's colour: 0 to 5 owners, 6 the other owners, 7 nobody known. */
function colourOf(owner) {
  if (owner < 0) return NAMED + 1;
  return colours.get(model.owners[owner]) ?? NAMED;
}

function legends() {
  const states = NAMES.map((state, number) => ({ state, number, ports: told.verdicts[state] ?? 0 })).filter((one) => one.ports > 0);
  legend(find("#port-states"), states.map((one) => ({ pick: { state: one.number }, name: one.state, title: STATES[one.state], ports: one.ports, state: one.number, colour: null })));
  const unknown = model.state.filter((state, position) => state !== NAMES.indexOf("free") && model.owner[position] < 0).length;
  const rest = model.sums.filter((sum) => !colours.has(sum.name));
  const items = model.sums.filter((sum) => colours.has(sum.name)).map((sum) => ({ name: sum.name, ports: sum.ports, colour: colours.get(sum.name) }));
  if (rest.length > 0) items.push({ name: rest.length === 1 ? rest[0].name : `${rest.length} others`, ports: rest.reduce((sum, one) => sum + one.ports, 0), colour: NAMED });
  if (unknown > 0) items.push({ name: "no process known", ports: unknown, colour: NAMED + 1 });
  legend(find("#port-owners"), items.map((item) => ({ ...item, pick: { owner: item.colour }, title: "", state: 0 })));
}

function legend(list, items) {
  const make = () => {
    const button = element("button", { type: "button" }, element("canvas", { width: 28, height: 28, "aria-hidden": "true" }), element("span"), element("b"));
    return element("li", {}, button, element("small"));
  };
  each(list, items, make, (row, item) => {
    const [button, note] = row.children;
    button.item = item;
    button.onclick ??= () => choose(button.item.pick);
    attribute(button, "aria-pressed", chosen !== null && same(chosen, item.pick));
    say(button.children[1], item.name);
    say(button.children[2], count(item.ports));
    say(note, item.title === item.name ? "" : item.title);
    swatch(button.children[0], item);
  });
}

const same = (a, b) => a.state === b.state && a.owner === b.owner;

function choose(pick) {
  chosen = chosen !== null && same(chosen, pick) ? null : pick;
  legends();
  draw();
}

function swatch(where, item) {
  const pen = where.getContext("2d");
  const paint = palette();
  pen.clearRect(0, 0, 28, 28);
  pen.fillStyle = item.colour === null ? paint.text : paint.owners[item.colour];
  if (NAMES[item.state] === "free") {
    pen.fillStyle = paint.free;
    pen.strokeStyle = paint.owners[NAMED + 1];
    pen.strokeRect(2, 2, 24, 24);
  }
  shape(pen, NAMES[item.state], 2, 2, 24);
}

/** The first ports of some rows, far enough apart to be read. */
function labels(rows, height) {
  const step = [1, 2, 5, 10, 20, 50, 100].find((step) => step * height >= 24) ?? 200;
  const marked = [...Array(Math.ceil(rows / step)).keys()].map((index) => index * step);
  each(find("#port-rows"), marked, () => element("span"), (label, row) => {
    say(label, String(portAt(row * model.columns)));
    label.style.top = `${row * height}px`;
  });
}

function layout() {
  const ratio = devicePixelRatio || 1;
  const width = Math.floor(canvas.parentElement.clientWidth * ratio);
  const highest = (width / ratio < 600 ? 900 : 720) * ratio;
  const fits = (columns) => {
    const cell = Math.min(Math.floor(width / columns), Math.floor(18 * ratio));
    return cell >= 2 && Math.ceil(model.size / columns) * cell <= highest;
  };
  model.columns = COLUMNS.find(fits) ?? 250;
  model.cell = Math.max(2, Math.min(Math.floor(width / model.columns), Math.floor(18 * ratio)));
  const rows = Math.ceil(model.size / model.columns);
  labels(rows, model.cell / ratio);
  canvas.width = model.columns * model.cell;
  canvas.height = rows * model.cell;
  canvas.style.width = `${canvas.width / ratio}px`;
  canvas.style.height = `${canvas.height / ratio}px`;
  return ratio;
}

/** Whether a cell is what the legend singles out, if it does. */
function singledOut(state, colour) {
  if (chosen === null) return true;
  if (chosen.state !== undefined) return chosen.state === state;
  return NAMES[state] !== "free" && chosen.owner === colour;
}

function draw() {
  if (model.size === 0 || canvas.parentElement.clientWidth === 0) return;
  layout();
  const pen = canvas.getContext("2d");
  const paint = palette();
  const gap = model.cell >= 4 ? Math.max(1, Math.round(model.cell / 8)) : 0;
  const side = model.cell - gap;
  const free = NAMES.indexOf("free");
  for (let position = 0; position < model.size; position += 1) {
    const { x, y } = cellAt(position);
    const state = model.state[position];
    const number = colourOf(model.owner[position]);
    pen.globalAlpha = singledOut(state, number) ? 1 : 0.15;
    if (state === free || NAMES[state] !== "listening") {
      pen.fillStyle = paint.free;
      pen.fillRect(x, y, side, side);
    }
    if (state === free) continue;
    pen.fillStyle = paint.owners[number];
    shape(pen, NAMES[state], x, y, side);
  }
  pen.globalAlpha = 1;
  tell();
}

function under(event) {
  const ratio = canvas.width / canvas.getBoundingClientRect().width;
  const box = canvas.getBoundingClientRect();
  const column = Math.floor(((event.clientX - box.left) * ratio) / model.cell);
  const row = Math.floor(((event.clientY - box.top) * ratio) / model.cell);
  const position = row * model.columns + column;
  if (column < 0 || column >= model.columns || position < 0 || position >= model.size) return null;
  return event.pointerType === "touch" ? nearby(position) : position;
}

/** A finger is wider than a cell: the nearest port that is not free, if one is near. */
function nearby(position) {
  const reach = [0, 1, -1, 2, -2].flatMap((row) => [0, 1, -1, 2, -2].map((column) => ({ at: position + row * model.columns + column, far: Math.abs(row) + Math.abs(column) })));
  const taken = reach.filter(({ at }) => at >= 0 && at < model.size && NAMES[model.state[at]] !== "free");
  return taken.sort((a, b) => a.far - b.far)[0]?.at ?? position;
}

function pointAt(event) {
  pointed = under(event);
  tell();
}

function step(event) {
  const { columns, size } = model;
  const free = NAMES.indexOf("free");
  const next = (way) => {
    for (let at = cursor + way; at >= 0 && at < size; at += way) if (model.state[at] !== free) return at;
    return cursor;
  };
  const steps = {
    ArrowLeft: () => cursor - 1,
    ArrowRight: () => cursor + 1,
    ArrowUp: () => cursor - columns,
    ArrowDown: () => cursor + columns,
    Home: () => 0,
    End: () => size - 1,
    PageUp: () => next(-1),
    PageDown: () => next(1),
  };
  const move = steps[event.key];
  if (!move || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  const to = move();
  if (to >= 0 && to < size) cursor = to;
  pointed = null;
  tell();
}

/** One port in words: state, owner, where. */
export function describe(position) {
  const port = portAt(position);
  const state = NAMES[model.state[position]];
  const owner = model.owners[model.owner[position]];
  const listening = model.listeners.filter((one) => one.port === port);
  const places = [...new Set(listening.map((one) => one.local))].join(", ");
  const pid = listening.find((one) => one.pid)?.pid;
  const unit = listening.find((one) => one.unit)?.unit;
  const who = owner === undefined ? "" : pid ? `${owner}, process ${pid}` : owner;
  return [`${port}`, STATES[state] === state ? state : `${state}: ${STATES[state]}`, who, unit, places].filter(Boolean);
}

function tell() {
  const walking = document.activeElement === canvas;
  const position = pointed ?? cursor;
  const [port, ...rest] = pointed === null && !walking ? ["", "Point at a cell to see its port, or walk there by keyboard."] : describe(position);
  if (here.children.length === 0) here.append(element("b"), element("span"));
  say(here.children[0], port);
  say(here.children[1], rest.join(" · "));
  attribute(here, "class", port ? "here" : "here quiet");
  const ratio = canvas.width / (parseFloat(canvas.style.width) || canvas.width);
  const { x, y, cell } = cellAt(position);
  frame.hidden = pointed === null && !walking;
  frame.style.transform = `translate(${x / ratio - 3}px, ${y / ratio - 3}px)`;
  frame.style.width = frame.style.height = `${cell / ratio + 5}px`;
  attribute(canvas, "aria-valuemin", portAt(0));
  attribute(canvas, "aria-valuemax", portAt(model.size - 1));
  attribute(canvas, "aria-valuenow", portAt(cursor));
  attribute(canvas, "aria-valuetext", describe(cursor).join(", "));
}

canvas.addEventListener("focus", tell);
canvas.addEventListener("blur", tell);
