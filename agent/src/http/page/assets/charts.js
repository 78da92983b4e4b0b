// The figures as small charts: a line for each, the newest value beside its name, and what was there under the pointer.

import { attribute, drawing, each, element, say } from "./elements.js";
import { clock, decimal, duration, percent, rate, size } from "./words.js";

const HEIGHT = 88;
const KEEP = 3600_000; // a little more than what the longest chart shows is kept
const GAP = 65_000; // nothing was read in between: the line breaks
const COARSE = 20_000; // longer charts have a point for so long, as the agent keeps the hour
const FINE = 300; // seconds that are drawn as they were read

const CARDS = [
  { title: "CPU", top: () => 1, format: percent, lines: [["cpu_busy", "busy"], ["cpu_iowait", "I/O wait"], ["cpu_steal", "steal"]], detail: (host) => host.cores && `${host.cores} core${host.cores === 1 ? "" : "s"}` },
  { title: "Memory", top: () => 1, format: percent, lines: [["memory_used", "used"], ["swap_used", "swap"]], detail: (host) => host.memory_total_bytes && `of ${size(host.memory_total_bytes)}` },
  { title: "Load", top: (most, host) => Math.max(most * 1.15, host.cores ?? 1), format: decimal, lines: [["load_1", "1 min"], ["load_5", "5 min"]], mark: (host) => host.cores, detail: (host) => host.cores && `dotted line: ${host.cores} core${host.cores === 1 ? "" : "s"}` },
  { title: "Network", top: (most) => round(most, 1000), format: rate, lines: [["received", "received"], ["sent", "sent"]] },
  { title: "Disks", top: (most) => round(most, 1000), format: rate, lines: [["read", "read"], ["written", "written"]] },
  { title: "Pressure", top: (most) => (most < 0.1 ? 0.1 : 1), format: percent, lines: [["waiting_cpu", "CPU"], ["waiting_memory", "memory"], ["waiting_io", "I/O"]], detail: () => "time that tasks waited" },
];

/** The next 1, 2 or 5 times a power of ten. */
function round(most, least) {
  const value = Math.max(most, least);
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value);
}

/** What the charts draw from: rows of a time and figures by name, oldest first. */
export const series = { points: [], host: {}, span: 300 };

const cards = [];
let pointed = null; // the time under the pointer, in milliseconds

export function last() {
  return series.points.at(-1);
}

/** Takes rows in, each with its time first. A clock that went back forgets what lies ahead of it. */
export function add({ columns, rows: news }) {
  if (news.length === 0) return;
  const from = news[0][0];
  const kept = series.points.filter((point) => point.at < from && point.at > news.at(-1)[0] - KEEP);
  for (const [at, ...values] of news) {
    kept.push(Object.fromEntries([["at", at], ...columns.map((column, index) => [column, values[index]])]));
  }
  series.points = kept;
  draw();
}

export function setHost(host) {
  series.host = host;
  draw();
}

export function setSpan(seconds) {
  series.span = seconds;
  draw();
}

export function build(where) {
  for (const spec of CARDS) {
    const svg = drawing("svg", { role: "img", height: HEIGHT, width: "100%" });
    const keys = element("ul", { class: "keys" });
    const now = element("p", { class: "now" });
    const detail = element("span", { class: "quiet" });
    const from = element("span");
    const to = element("span");
    const box = element("article", { class: "card chart" },
      element("div", { class: "title" }, element("h3", {}, spec.title, detail), now), svg,
      element("div", { class: "axis quiet small", "aria-hidden": "true" }, from, to), keys);
    where.append(box);
    const card = { ...spec, box, svg, keys, now, from, to, detailText: detail };
    cards.push(card);
    svg.addEventListener("pointermove", (event) => point(card, event));
    svg.addEventListener("pointerdown", (event) => point(card, event));
    svg.addEventListener("pointerleave", () => {
      pointed = null;
      draw();
    });
  }
  new ResizeObserver(draw).observe(where);
}

function point(card, event) {
  const { left, width } = card.svg.getBoundingClientRect();
  const { start, end } = bounds();
  const time = start + ((event.clientX - left) / width) * (end - start);
  const near = nearest(time);
  pointed = near ? near.at : null;
  draw();
}

function nearest(time) {
  let best = null;
  for (const one of shown()) if (!best || Math.abs(one.at - time) < Math.abs(best.at - time)) best = one;
  return best;
}

function bounds() {
  const end = last()?.at ?? 0;
  return { start: end - series.span * 1000, end };
}

function shown() {
  const { start } = bounds();
  let first = series.points.findIndex((one) => one.at >= start);
  if (first > 0) first -= 1; // the line comes in from the left edge
  const points = first < 0 ? [] : series.points.slice(first);
  return series.span > FINE ? thinned(points) : points;
}

/** One point for each stretch of time, with the means of what is known. */
function thinned(points) {
  const stretches = new Map();
  for (const one of points) {
    const key = Math.floor(one.at / COARSE);
    if (!stretches.has(key)) stretches.set(key, []);
    stretches.get(key).push(one);
  }
  return [...stretches.values()].map((some) => {
    const mean = { at: some.at(-1).at };
    for (const name of Object.keys(some[0]).slice(1)) {
      const values = some.map((one) => one[name]).filter((value) => typeof value === "number");
      mean[name] = values.length > 0 ? values.reduce((sum, value) => sum + value, 0) / values.length : null;
    }
    return mean;
  });
}

let waiting = false;

/** Draws all charts, once for however many changes came before the next frame. */
function draw() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    const points = shown();
    for (const card of cards) drawCard(card, points);
  });
}

function drawCard(card, points) {
  const lines = card.lines.filter(([name]) => points.some((one) => typeof one[name] === "number"));
  card.box.hidden = lines.length === 0;
  if (card.box.hidden) return;
  const here = (pointed !== null && points.find((one) => one.at === pointed)) || last();
  say(card.now, card.format(here[card.lines[0][0]]));
  say(card.detailText, card.detail?.(series.host) || "");
  say(card.from, `−${duration(series.span)}`);
  say(card.to, pointed === null ? "now" : clock(here.at));
  each(card.keys, lines, () => element("li", {}, drawing("svg", { width: 14, height: 8, "aria-hidden": "true" }, drawing("path", { d: "M0 4H14" })), element("span"), element("b")), (item, [name, label]) => {
    attribute(item, "class", style(card, name));
    say(item.children[1], label);
    say(item.children[2], card.format(here[name]));
  });
  drawLines(card, lines, points, here);
}

const style = (card, name) => `line line-${card.lines.findIndex((line) => line[0] === name)}`;

function drawLines(card, lines, points, here) {
  const width = card.svg.clientWidth || 300;
  const { start, end } = bounds();
  const most = Math.max(0, ...lines.flatMap(([name]) => points.map((one) => one[name] ?? 0)));
  const top = card.top(most, series.host);
  const x = (at) => ((at - start) / (end - start)) * width;
  const y = (value) => HEIGHT - 1 - (Math.min(value, top) / top) * (HEIGHT - 14);
  const shapes = [
    ["line", { class: "grid", x1: 0, x2: width, y1: y(top), y2: y(top) }],
    ["line", { class: "grid", x1: 0, x2: width, y1: y(top / 2), y2: y(top / 2) }],
    ["line", { class: "grid base", x1: 0, x2: width, y1: HEIGHT - 1, y2: HEIGHT - 1 }],
  ];
  const mark = card.mark?.(series.host);
  if (mark && mark <= top) shapes.push(["line", { class: "mark", x1: 0, x2: width, y1: y(mark), y2: y(mark) }]);
  for (const [name] of lines.toReversed()) {
    for (const run of runs(points, name)) {
      const path = run.map((one, index) => `${index ? "L" : "M"}${x(one.at).toFixed(1)} ${y(one[name]).toFixed(1)}`).join("");
      if (name === card.lines[0][0]) {
        const [from, to] = [x(run[0].at), x(run.at(-1).at)].map((at) => at.toFixed(1));
        shapes.push(["path", { class: `area ${style(card, name)}`, d: `${path}L${to} ${HEIGHT - 1}L${from} ${HEIGHT - 1}Z` }]);
      }
      shapes.push(["path", { class: style(card, name), d: run.length > 1 ? path : `${path}h1` }]);
    }
  }
  if (pointed !== null) shapes.push(["line", { class: "pointed", x1: x(here.at), x2: x(here.at), y1: 0, y2: HEIGHT }]);
  shapes.push(["text", { class: "scale", x: 0, y: y(top) - 3 }, card.format(top)]);
  card.svg.replaceChildren(...shapes.map(([tag, attributes, text]) => drawing(tag, attributes, ...(text ? [text] : []))));
  attribute(card.svg, "aria-label", told(card, lines, points));
}

/** The parts of a line between which there are figures. */
function runs(points, name) {
  const found = [];
  let before = null;
  for (const one of points) {
    if (typeof one[name] !== "number") continue;
    if (before === null || one.at - before > GAP) found.push([]);
    found.at(-1).push(one);
    before = one.at;
  }
  return found;
}

/** The chart in words. */
function told(card, lines, points) {
  const lows = lines.map(([name, label]) => {
    const values = points.map((one) => one[name]).filter((value) => typeof value === "number");
    return `${label}: now ${card.format(last()[name])}, from ${card.format(Math.min(...values))} to ${card.format(Math.max(...values))}`;
  });
  return `${card.title}, last ${duration(series.span)}. ${lows.join("; ")}.`;
}
