// Wires the page: what the agent tells goes to the part that shows it.

import * as agent from "./agent.js";
import * as charts from "./charts.js";
import { attribute, find, say } from "./elements.js";
import { connect } from "./link.js";
import * as listeners from "./listeners.js";
import * as ports from "./ports.js";
import { clock, duration } from "./words.js";

const KEPT = "sigma-agent span";
const told = { host: {}, state: null, scan: 0 };

const heard = {
  host(host) {
    told.host = host;
    charts.setHost(host);
    agent.setHost(host, told.state);
  },
  state(state) {
    told.state = state;
    agent.setState(state);
    agent.setHost(told.host, state);
    ports.setScan(state.port_scan);
  },
  ports(picture) {
    told.scan = picture.scan;
    ports.setPorts(picture);
    listeners.setPorts(picture);
  },
  figures: charts.add,
};

const LINKS = {
  connecting: "connecting",
  live: "live",
  asking: "live, every 5 s",
  paused: "paused",
  gone: "no answer",
  token: "token wanted",
};

let since = null; // when the agent was last heard, while it is gone

function tell(state, detail) {
  const pill = find("#link");
  attribute(pill, "data-state", state);
  say(pill, LINKS[state]);
  if (state === "gone") since ??= detail || Date.now();
  else if (state !== "paused") since = null;
  tellGone(state === "gone" && !detail);
  find("#ask").hidden = state !== "token";
  if (state === "token") askToken(detail);
  else if (state === "live" || state === "asking") find("#content").hidden = false;
}

function tellGone(never) {
  const gone = find("#gone");
  document.body.classList.toggle("is-gone", since !== null);
  gone.hidden = since === null;
  if (since === null) return;
  const known = never ? "It has not answered this page yet." : `It was last heard at ${clock(since)}; what is shown below is from then.`;
  say(gone, `The agent does not answer. ${known} This page goes on trying. On the host, “systemctl status sigma-agent” tells more.`);
}

/** Asks for the token, and says so if the last one was refused. */
function askToken({ wrong, given }) {
  find("#content").hidden = true;
  say(find("#refused"), wrong ? "That is not the token." : "");
  const field = find("#token");
  field.value = "";
  field.focus();
  find("#ask").onsubmit = (event) => {
    event.preventDefault();
    given(field.value.trim());
  };
}

function chooseSpan() {
  const kept = sessionStorage.getItem(KEPT) ?? "300";
  for (const choice of document.querySelectorAll("input[name=span]")) {
    choice.checked = choice.value === kept;
    choice.addEventListener("change", () => {
      sessionStorage.setItem(KEPT, choice.value);
      charts.setSpan(Number(choice.value));
    });
    if (choice.checked) charts.setSpan(Number(choice.value));
  }
}

charts.build(find("#charts"));
ports.build();
listeners.build();
chooseSpan();
connect({
  hear: (name, value) => heard[name]?.(value),
  tell,
  known: () => ({ since: charts.last()?.at ?? 0, scan: told.scan }),
});
