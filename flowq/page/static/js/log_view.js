// Lines of output: only those in view are drawn; following stops when one scrolls up.
import { Ansi } from "./ansi.js";
import { html, useLayoutEffect, useRef, useState } from "./html.js";

const HIGH = 19; // px of a line
const OVER = 20;
const LONGEST = 4096; // characters of a line before it is cut

// lines: [{ key, text, stream, ordinal }]. onTop: asked for when the reader comes near the first line.
export function LogView({ lines, follow, setFollow, onTop = null, label, names = null, find = "", open = null }) {
  const box = useRef(null);
  const [view, setView] = useState({ top: 0, height: 500 });
  const [whole, setWhole] = useState(new Set());
  const first = useRef(null); // the key of the first line, to keep the place when others come before it
  const count = lines.length;

  useLayoutEffect(() => {
    const node = box.current;
    if (follow) node.scrollTop = node.scrollHeight;
    else if (first.current !== null && count && lines[0].key !== first.current) {
      const moved = lines.findIndex((line) => line.key === first.current);
      if (moved > 0) node.scrollTop += moved * HIGH;
    }
    first.current = count ? lines[0].key : null;
    setView({ top: node.scrollTop, height: node.clientHeight });
  }, [lines, follow]);

  const scroll = () => {
    const node = box.current;
    const end = node.scrollTop + node.clientHeight >= node.scrollHeight - 4;
    if (end !== follow) setFollow(end);
    if (onTop && node.scrollTop < 400) onTop();
    setView({ top: node.scrollTop, height: node.clientHeight });
  };
  const from = Math.max(0, Math.floor(view.top / HIGH) - OVER);
  const to = Math.min(count, Math.ceil((view.top + view.height) / HIGH) + OVER);
  const cut = (line) => (line.text.length > LONGEST && !whole.has(line.key) ? line.text.slice(0, LONGEST) : line.text);
  const hit = find ? find.toLowerCase() : null;
  return html`<div class="log" ref=${box} onScroll=${scroll} tabindex="0" role="log" aria-live="off" aria-label=${label}>
    <div class="loglines" style=${{ height: `${count * HIGH + 12}px` }}>${lines.slice(from, to).map((line, index) => html`
      <div key=${line.key} class=${`logline${line.stream === "err" ? " is-stderr" : ""}${hit && line.text.toLowerCase().includes(hit) ? " hit" : ""}`} style=${{ transform: `translateY(${(from + index) * HIGH}px)` }}>${names ? html`
        <button type="button" tabindex="-1" class="logname" title=${names(line.ordinal)} onClick=${() => open(line.ordinal)}>${names(line.ordinal)}</button>` : null}<span class="logtext"><${Ansi} line=${cut(line)} />${line.text.length > LONGEST && !whole.has(line.key) ? html` <button type="button" class="linkbutton" onClick=${() => setWhole(new Set(whole).add(line.key))}>show ${line.text.length - LONGEST} more characters</button>` : null}</span></div>`)}</div>
  </div>`;
}

export const linesOf = (text) => { const lines = text.split("\n"); if (lines.at(-1) === "") lines.pop(); return lines; };
