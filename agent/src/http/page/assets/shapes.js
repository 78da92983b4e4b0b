// The shapes of states and the colours of owners: each state has a shape of its own, so that colour alone tells nothing.

/** Owners with a colour of their own. The next number is that of all others, the last that of nobody known. */
export const NAMED = 6;

/** The colours of the page as it is now, light or dark. */
export function palette() {
  const style = getComputedStyle(document.documentElement);
  const get = (name) => style.getPropertyValue(name).trim();
  return { text: get("--text"), free: get("--free"), owners: [...Array(NAMED + 2).keys()].map((number) => get(`--owner-${number}`)) };
}

/** Draws a state into a square. */
export function shape(pen, state, x, y, side) {
  const line = Math.max(1, Math.round(side / 5));
  const half = Math.floor(side / 2);
  switch (state) {
    case "bound": // a frame
      pen.fillRect(x, y, side, line);
      pen.fillRect(x, y + side - line, side, line);
      pen.fillRect(x, y, line, side);
      pen.fillRect(x + side - line, y, line, side);
      break;
    case "blocked": // a cross of beams
      pen.fillRect(x, y + Math.floor((side - line) / 2), side, line);
      pen.fillRect(x + Math.floor((side - line) / 2), y, line, side);
      break;
    case "udp": // half
      pen.beginPath();
      pen.moveTo(x, y);
      pen.lineTo(x + side, y);
      pen.lineTo(x, y + side);
      pen.fill();
      break;
    case "leased": // the upper half
      pen.fillRect(x, y, side, half);
      break;
    case "reusable":
    case "lingering": { // a dot
      const dot = Math.max(2, Math.round(side / 2.5));
      const edge = Math.floor((side - dot) / 2);
      pen.fillRect(x + edge, y + edge, dot, dot);
      break;
    }
    case "forbidden":
    case "excluded": // a line at the foot
      pen.fillRect(x, y + side - line, side, line);
      break;
    default:
      pen.fillRect(x, y, side, side);
  }
}
