// Figures, times and states in words that people read.

const unknown = "–";

const known = (value) => typeof value === "number" && Number.isFinite(value);

function scaled(value, step, units) {
  let unit = 0;
  while (value >= step * 0.9995 && unit < units.length - 1) {
    value /= step;
    unit += 1;
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : 1;
  return `${value.toFixed(digits)} ${units[unit]}`;
}

/** 16.0 GiB, as memory and disks are sized. */
export const size = (bytes) => (known(bytes) ? scaled(bytes, 1024, ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]) : unknown);

/** 1.2 MB/s, as networks are. */
export const rate = (bytes) => (known(bytes) ? scaled(bytes, 1000, ["B/s", "kB/s", "MB/s", "GB/s"]) : unknown);

/** 12 %, with a decimal where it is small. */
export function percent(ratio) {
  if (!known(ratio)) return unknown;
  const value = ratio * 100;
  return `${value.toFixed(value < 9.95 && value >= 0.05 ? 1 : 0)} %`;
}

export const decimal = (value) => (known(value) ? value.toFixed(2) : unknown);

export const count = (value) => (known(value) ? value.toLocaleString("en") : unknown);

/** 3 d 4 h: the two largest units. */
export function duration(seconds) {
  if (!known(seconds)) return unknown;
  let rest = Math.max(0, Math.round(seconds));
  const parts = [];
  for (const [unit, length] of [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]]) {
    const number = Math.floor(rest / length);
    rest -= number * length;
    if (number > 0 || (unit === "s" && parts.length === 0)) parts.push(`${number} ${unit}`);
    else if (parts.length > 0) break;
    if (parts.length === 2) break;
  }
  return parts.join(" ");
}

export const ago = (seconds) => (known(seconds) ? `${duration(seconds)} ago` : "never");

export const clock = (milliseconds) => new Date(milliseconds).toLocaleTimeString("en-GB");

export const plural = (number, one, many) => `${count(number)} ${number === 1 ? one : many}`;

/** What a state of a port means, in the order of the legend. */
export const STATES = {
  listening: "a TCP server listens",
  bound: "taken, not listening",
  blocked: "kept by connections",
  udp: "UDP only",
  leased: "handed out, waiting for its server",
  reusable: "left by connections, can be taken",
  lingering: "left by connections, not tested",
  forbidden: "not testable by the agent",
  excluded: "left alone by configuration",
  free: "free",
};

/** What the loops are for. */
export const LOOPS = {
  http: "serves this page, metrics and health",
  history: "reads the figures above",
  heartbeat: "registers this host and says that it lives",
  "public-ip": "finds the public address",
  scan: "looks at the ports",
  sample: "takes a sample of this host",
  push: "sends the newest sample",
  backfill: "sends what an outage left",
  guest: "reads processor and memory for the manager",
  "guest-report": "tells the manager the address",
  watchdog: "tells systemd that the agent lives",
  "programs-poll": "asks which programs should run",
  "programs-keys": "fetches the keys that are trusted",
  "programs-meter": "measures the programs, keeps limits",
  "programs-deadline": "ends programs whose time is over",
};

/** What to do about an error, by what it says. */
export function advice(loop, message) {
  const says = (...words) => words.some((word) => message.toLowerCase().includes(word));
  if (says("cannot listen")) return "Another program has the port; the tables above may tell which. Or choose another with --metrics-port.";
  if (says("401", "403", "unauthor", "forbidden")) return "The key is refused. Put a good one into the key file: it is read again by itself.";
  if (says("certificate", "tls")) return "The server's certificate is not trusted. Give its CA with --api-ca, or mend the certificate.";
  if (says("resolve", "dns", "lookup", "no addresses")) return "The name is not found. Check the URL and /etc/resolv.conf.";
  if (says("refused", "connect", "timed out", "time-out", "timeout", "unreachable", "reset")) return "The server cannot be reached. Check the URL, the network and the server; the agent goes on trying.";
  if (says("files do not answer")) return "A disk or a network file system hangs. Look at dmesg and at the mounts below.";
  if (loop.startsWith("programs")) return "“sigma-agent programs doctor” on the host tells what is missing.";
  return "“sigma-agent check” on the host looks at every part of it.";
}
