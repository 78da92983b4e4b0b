// What the agent does and how it does: problems, servers, loops, programs; and what this host is.

import { each, element, facts, find, rows, say } from "./elements.js";
import { LOOPS, advice, ago, count, decimal, duration, percent, plural, size } from "./words.js";

export function setState(state) {
  showProblems(problems(state));
  showServers(state);
  showLoops(state.loops);
  find("footer a[href=ports]").hidden = !state.port_scan.on;
  if (state.programs) showPrograms(state.programs);
  const { version, role, uptime_seconds: up, pid } = state.agent;
  say(find("#agent"), `sigma-agent ${version} · role ${role} · process ${pid} · running for ${duration(up)}`);
}

/** Everything that somebody should do something about: what, why, and what to do. */
function problems(state) {
  const failing = state.loops.filter((loop) => loop.state === "failing" || loop.state === "stopped");
  const found = failing.map((loop) => {
    const why = loop.last_error?.message ?? "it has ended";
    const often = loop.consecutive_failures > 1 ? `, ${count(loop.consecutive_failures)} times in a row` : "";
    return [`${loop.name} is ${loop.state}${often}`, why, advice(loop.name, why)];
  });
  for (const problem of state.programs?.problems ?? []) found.push(["programs cannot be run as they should", problem, advice("programs", problem)]);
  for (const one of state.programs?.applied_artifacts ?? []) {
    if (one.status === "failed") found.push([`program ${one.name} ${one.version} does not run`, one.error ?? "", advice("programs", "")]);
  }
  const lost = Object.values(state.push?.backlog.dropped ?? {}).reduce((sum, one) => sum + one, 0);
  if (lost > 0) found.push([`${plural(lost, "sample is", "samples are")} lost`, "the backlog was full, too old or damaged", "Give it more room with --buffer-max-bytes, or see why the server was away."]);
  return found;
}

function showProblems(found) {
  const section = find("#problems");
  section.hidden = found.length === 0;
  const make = () => element("li", {}, element("b"), element("span"), element("small"));
  each(find("ul", section), found, make, (item, texts) => texts.forEach((text, index) => say(item.children[index], text)));
}

function showServers({ api, push, programs }) {
  const pairs = [];
  if (api) {
    const as = api.registered ? `registered as ${api.hostname}, ${api.status}` : "not registered";
    pairs.push(["Sigma API", as, api.url]);
  }
  if (push) {
    const { backlog } = push;
    const waiting = backlog.samples > 0 ? `${plural(backlog.samples, "sample waits", "samples wait")} (${size(backlog.bytes)})` : "nothing waits";
    pairs.push(["Samples", `${count(push.sent)} sent, ${waiting}`, push.server]);
    if (push.backfilled || push.refused) pairs.push(["After outages", `${count(push.backfilled)} sent late, ${count(push.refused)} refused`]);
  }
  if (programs) {
    const { registry, nats } = programs;
    pairs.push(["Registry", registry.answers ? "answers" : "does not answer", registry.url]);
    if (nats) pairs.push(["NATS", nats.connected ? `connected, ${count(nats.published)} told` : "not connected", nats.last_error]);
  }
  facts(find("#servers"), pairs);
}

const MARK = { ok: "✓ ok", failing: "✕ failing", waiting: "… waiting", stopped: "■ stopped" };

function showLoops(loops) {
  const well = loops.filter((loop) => loop.state === "ok").length;
  say(find("#loops-sums"), `${well} of ${plural(loops.length, "loop", "loops")} well`);
  const cells = (loop) => {
    const failing = loop.state === "failing" || loop.state === "stopped";
    const { message, at } = loop.last_error ?? {};
    return [
      { text: loop.name, note: LOOPS[loop.name] ?? "", error: failing ? message : "", past: !failing && message ? `${ago(at.seconds_ago)}: ${message}` : "" },
      { text: MARK[loop.state] ?? loop.state, state: loop.state },
      ago(loop.last_success?.seconds_ago),
      { text: next(loop), kind: "wide" },
      { text: count(loop.runs), kind: "number wide" },
      { text: count(loop.failures), kind: "number wide" },
    ];
  };
  rows(find("#loops tbody"), loops.map(cells));
}

/** When a loop runs next; those that others wake wait for a day. */
function next({ running, state, next_run_in_seconds: seconds }) {
  if (state === "stopped") return "never";
  if (running || seconds === null || seconds < 0.5) return "now";
  return seconds > 43200 ? "when woken" : `in ${duration(seconds)}`;
}

function showPrograms(programs) {
  const section = find("#programs");
  section.hidden = false;
  const all = programs.applied_artifacts;
  const running = all.filter((one) => one.status === "running").length;
  const held = programs.held.length + programs.quarantined.length;
  say(find("#programs-sums"), [`${running} running`, all.length > running && `${all.length - running} failed`, held > 0 && `${held} held back`, `signatures: ${programs.signature_policy}`].filter(Boolean).join(", "));
  find("table", section).hidden = all.length === 0;
  const none = find("#programs-none");
  none.hidden = all.length > 0;
  say(none, programs.registry.assigned === null ? "It is not known yet what should run here." : "None is assigned to this host.");
  rows(find("tbody", section), all.map(program));
}

function program(one) {
  const told = one.telemetry;
  return [
    { text: `${one.name} ${one.version}`, note: one.artifact_id, error: one.error },
    one.status === "running" ? { text: "✓ running", state: "ok" } : { text: `✕ ${one.status}`, state: "failing" },
    one.status === "running" ? duration(one.ttl_seconds) : "–",
    { text: told.cpu_percent === null ? "–" : `${decimal(told.cpu_percent)} %`, kind: "number" },
    { text: told.memory_kb === null ? "–" : size(told.memory_kb * 1024), kind: "number wide" },
    { text: count(told.packets_processed), kind: "number wide" },
    { text: count(told.violations), kind: "number wide" },
    { text: count(told.errors), kind: "number wide" },
  ];
}

export function setHost(host, state) {
  const name = state?.host?.hostname ?? state?.given_hostname ?? host.hostname;
  if (name) {
    say(find("#hostname"), name);
    document.title = `${name} · sigma-agent`;
  }
  const cores = host.cores && plural(host.cores, "core", "cores");
  const up = host.uptime_seconds !== null && `up ${duration(host.uptime_seconds)}`;
  say(find("#summary"), [host.os, host.kernel && `Linux ${host.kernel}`, cores, up].filter(Boolean).join(" · "));
  facts(find("#facts"), [
    ["Name", host.hostname],
    ["System", host.os],
    ["Kernel", host.kernel && [host.kernel, host.architecture].filter(Boolean).join(", ")],
    ["Runs on", host.virtualization === "none" ? "hardware of its own" : host.virtualization],
    ["Memory", host.memory_total_bytes && size(host.memory_total_bytes), host.swap_total_bytes ? `and ${size(host.swap_total_bytes)} of swap` : ""],
    ["Processes", host.processes && count(host.processes)],
    ["Public address", state?.host?.public_ip],
  ]);
  rows(find("#addresses tbody"), (host.addresses ?? []).map((one) => [one.address, one.scope, { text: one.interface ?? "–", note: one.default_route ? "default route" : "" }]));
  find("#addresses").hidden = !host.addresses?.length;
  rows(find("#disks tbody"), (host.file_systems ?? []).map(disk));
  find("#disks").hidden = !host.file_systems?.length;
}

function disk(one) {
  const about = [one.source, one.type, one.read_only && "read-only"].filter(Boolean).join(", ");
  const used = one.used_ratio === null ? { text: one.note ?? "not known" } : { text: percent(one.used_ratio), level: one.used_ratio };
  return [{ text: one.mount, note: about }, used, { text: one.available_bytes === null ? "–" : size(one.available_bytes), kind: "number" }, { text: one.total_bytes === null ? "–" : size(one.total_bytes), kind: "number" }];
}
