// Text of jobs for the screen: colours become classes, everything else that a terminal would obey is removed or made visible.
import { html } from "./html.js";

const COLOURS = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];
const ESCAPES = /\x1b\[([0-9;:]*)m|\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]|\x9b[0-?]*[ -/]*[@-~]/g;
const HIDDEN = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028\u2029\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/g;

const visible = (text) => text.replace(HIDDEN, (char) => `\\u{${char.codePointAt(0).toString(16)}}`);

function apply(codes, state) {
  const numbers = codes === "" ? [0] : codes.split(/[;:]/).map(Number);
  for (let at = 0; at < numbers.length; at += 1) {
    const code = numbers[at];
    if (code === 0) { state.colour = null; state.bold = false; state.dim = false; }
    else if (code === 1) state.bold = true;
    else if (code === 2) state.dim = true;
    else if (code === 22) { state.bold = false; state.dim = false; }
    else if (code >= 30 && code <= 37) state.colour = COLOURS[code - 30];
    else if (code >= 90 && code <= 97) state.colour = COLOURS[code - 90];
    else if (code === 39) state.colour = null;
    else if (code === 38 || code === 48) { // 256 colours and RGB: the first sixteen are kept, others are plain
      if (numbers[at + 1] === 5) { if (code === 38 && numbers[at + 2] < 16) state.colour = COLOURS[numbers[at + 2] % 8]; at += 2; }
      else at += 4;
    }
  }
}

// One line as [text, classes] pieces.
export function pieces(line) {
  const whole = line.replace(/\r+$/, "");
  const shown = whole.slice(whole.lastIndexOf("\r") + 1); // what a progress bar has written last
  const found = [];
  const state = { colour: null, bold: false, dim: false };
  let from = 0;
  const add = (text) => {
    if (!text) return;
    found.push([visible(text), [state.colour && `ansi-${state.colour}`, state.bold && "ansi-bold", state.dim && "ansi-dim"].filter(Boolean).join(" ")]);
  };
  for (const escape of shown.matchAll(ESCAPES)) {
    add(shown.slice(from, escape.index));
    if (escape[1] !== undefined) apply(escape[1], state);
    from = escape.index + escape[0].length;
  }
  add(shown.slice(from));
  return found;
}

export const plain = (text) => visible(text.replace(ESCAPES, "").replaceAll("\n", "\u0000")).replaceAll("\\u{0}", "\n");

export const Ansi = ({ line }) => pieces(line).map(([text, classes]) => (classes ? html`<span class=${classes}>${text}</span>` : text));
