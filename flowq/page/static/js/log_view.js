// Lines of output: only those in view are drawn; following stops when one scrolls up.
import { Ansi } from "./ansi.js";
import { html, useLayoutEffect, useRef, useState } from "./html.js";

const HIGH = 19; // px of a line
const OVER = 20;
const LONGEST = 4096; // characters of a line before it is cut
const NEAR = 400; // px from the first or last line at which others are asked for

// lines: [{ key, text, stream, ordinal, note }], with keys that grow. onTop, onBottom: asked for when the reader comes near the first or last line.
// target: { key } of the line to scroll to; another object scrolls again. onPlace: told the key of the first line in view.
export function LogView({ lines, follow, setFollow, onTop = null, onBottom = null, target = null, onPlace = null, label, names = null, find = "", open = null }) {
  const box = useRef(null);
  const [view, setView] = useState({ top: 0, height: 500 });
  const [whole, setWhole] = useState(new Set());
  const first = useRef(null); // the key of the first line, to keep the place when others come before it
  const reached = useRef(null); // the target that was scrolled to
  const count = lines.length;

  useLayoutEffect(() => {
    const node = box.current;
    if (follow) node.scrollTop = node.scrollHeight;
    else if (target && reached.current !== target) {
      const place = lines.findLastIndex((line) => line.key <= target.key);
      node.scrollTop = Math.max(0, place) * HIGH - node.clientHeight / 3;
    } else if (first.current !== null && count && lines[0].key !== first.current) {
      const moved = lines.findIndex((line) => line.key === first.current);
      if (moved > 0) node.scrollTop += moved * HIGH;
    }
    reached.current = target;
    first.current = count ? lines[0].key : null;
    setView({ top: node.scrollTop, height: node.clientHeight });
  }, [lines, follow, target]);

  const scroll = () => {
    const node = box.current;
    const end = node.scrollTop + node.clientHeight >= node.scrollHeight - 4;
    if (end !== follow) setFollow(end);
    if (onTop && node.scrollTop < NEAR) onTop();
    else if (onBottom && node.scrollHeight - node.scrollTop - node.clientHeight < NEAR) onBottom();
    setView({ top: node.scrollTop, height: node.clientHeight });
    onPlace?.(lines[Math.min(count - 1, Math.round(node.scrollTop / HIGH))]?.key);
  };
  const from = Math.max(0, Math.floor(view.top / HIGH) - OVER);
  const to = Math.min(count, Math.ceil((view.top + view.height) / HIGH) + OVER);
  const cut = (line) => (line.text.length > LONGEST && !whole.has(line.key) ? line.text.slice(0, LONGEST) : line.text);
  const hit = find ? find.toLowerCase() : null;
  const kind = (line) => `logline${line.stream === "err" ? " is-stderr" : ""}${line.note ? " muted" : ""}${hit && line.text.toLowerCase().includes(hit) ? " hit" : ""}`;
  return html`<div class="log" ref=${box} onScroll=${scroll} tabindex="0" role="log" aria-live="off" aria-label=${label}>
    <div class="loglines" style=${{ height: `${count * HIGH + 12}px` }}>${lines.slice(from, to).map((line, index) => html`
      <div key=${line.key} class=${kind(line)} style=${{ transform: `translateY(${(from + index) * HIGH}px)` }}>${names ? html`
        <button type="button" tabindex="-1" class="logname" title=${names(line.ordinal)} onClick=${() => open(line.ordinal)}>${names(line.ordinal)}</button>` : null}<span class="logtext"><${Ansi} line=${cut(line)} />${line.text.length > LONGEST && !whole.has(line.key) ? html` <button type="button" class="linkbutton" onClick=${() => setWhole(new Set(whole).add(line.key))}>show ${line.text.length - LONGEST} more characters</button>` : null}</span></div>`)}</div>
  </div>`;
}
