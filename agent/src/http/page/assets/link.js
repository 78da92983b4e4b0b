// The line to the agent: a stream of events, questions where that fails, and the token where one is wanted.

const SILENCE = 10_000; // without a word for so long, the agent or the way to it is gone
const GLANCE = 5_000; // between two questions where there is no stream
const GLANCES = 12; // questions before a stream is tried again
const HIDDEN = 30_000; // a tab that nobody sees lets the agent rest after this
const KEPT = "sigma-agent token";

let token = sessionStorage.getItem(KEPT) ?? "";

const wait = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

/** The text of one event to its name and value. */
function read(text) {
  let name = "message";
  let data = "";
  for (const line of text.split("\n")) {
    if (line.startsWith("event: ")) name = line.slice(7);
    else if (line.startsWith("data: ")) data += line.slice(6);
  }
  return data && { name, value: JSON.parse(data) };
}

class Refused extends Error {
  constructor(status) {
    super(`the agent answers ${status}`);
    this.status = status;
  }
}

/**
 * Keeps the line. `hear(name, value)` gets each event, `tell(state, detail)` how the line is: `connecting`, `live`, `asking` (no
 * stream, but answers), `gone`, `paused`, `token`. `known()` gives what need not be told again.
 */
export function connect({ hear, tell, known }) {
  let heard = 0;

  async function ask(more, signal) {
    const { since, scan } = known();
    const query = [...more, `since=${since}`, `scan=${scan}`].join("&");
    const headers = token ? { authorization: `Bearer ${token}` } : {};
    const answer = await fetch(`events?${query}`, { headers, signal, cache: "no-store", credentials: "omit" });
    if (!answer.ok) throw new Refused(answer.status);
    return answer;
  }

  function take(text, state) {
    const event = read(text);
    if (!event) return;
    heard = Date.now();
    try {
      hear(event.name, event.value);
    } catch (error) {
      console.error(error); // a fault of the page is not one of the line
    }
    tell(state);
  }

  /** Listens until the stream ends; says whether it ever said a word. */
  async function listen() {
    const stop = new AbortController();
    let silence;
    const listening = () => {
      clearTimeout(silence);
      silence = setTimeout(() => stop.abort(), SILENCE);
    };
    let unseen;
    const look = () => {
      clearTimeout(unseen);
      if (document.hidden) unseen = setTimeout(() => stop.abort(), HIDDEN);
    };
    document.addEventListener("visibilitychange", look);
    listening();
    look();
    try {
      const answer = await ask([], stop.signal);
      return await hearAll(answer.body, listening);
    } catch (error) {
      if (stop.signal.aborted) return false; // not even the beginning of an answer came through
      throw error;
    } finally {
      clearTimeout(silence);
      clearTimeout(unseen);
      document.removeEventListener("visibilitychange", look);
    }
  }

  async function hearAll(body, listening) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    let words = false;
    try {
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return words;
        listening();
        const texts = (rest + value).split("\n\n");
        rest = texts.pop();
        for (const text of texts) take(text, "live");
        words ||= texts.length > 0;
      }
    } catch {
      return words; // cut off: by the network, or by the timers above
    }
  }

  /** Asks now and then, for as long as that works, and not for ever: a stream is better. */
  async function glance() {
    for (let turn = 0; turn < GLANCES; turn += 1) {
      const answer = await ask(["once"], AbortSignal.timeout(SILENCE));
      for (const text of (await answer.text()).split("\n\n")) take(text, "asking");
      await wait(GLANCE);
      await seen();
    }
  }

  /** Waits while nobody sees the page. */
  async function seen() {
    if (!document.hidden) return;
    tell("paused");
    await new Promise((done) => document.addEventListener("visibilitychange", done, { once: true }));
  }

  async function run() {
    let silent = 0; // streams that never said a word: something on the way holds them back
    let failures = 0;
    for (;;) {
      await seen();
      const before = heard;
      try {
        if (silent < 2) silent = (await listen()) ? 0 : silent + 1;
        else {
          await glance();
          silent = 0;
          continue;
        }
      } catch (error) {
        if (error.status === 401) {
          await newToken();
          continue;
        }
        if (error.status === 503 && silent < 2) {
          silent = 2;
          continue;
        }
      }
      if (document.hidden) continue;
      failures = heard > before ? 1 : failures + 1;
      if (heard || failures > 1) tell("gone", heard);
      await wait(Math.min(500 * 2 ** failures, 5000));
    }
  }

  async function newToken() {
    token = await new Promise((given) => tell("token", { wrong: token !== "", given }));
    sessionStorage.setItem(KEPT, token);
  }

  tell("connecting");
  run();
}
