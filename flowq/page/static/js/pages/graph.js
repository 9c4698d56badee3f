// The graph of a run or a flow: laid out by the server, drawn here with the states of the jobs. SVG for up to 400 boxes, a canvas beyond.
import { useDocument } from "../data.js";
import { geometry, step } from "../graph_model.js";
import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../html.js";
import { Button, Empty, Waiting, plural } from "../parts.js";
import { Link, runPath, setSearch, usePlace } from "../router.js";
import { paint } from "../run_model.js";
import { GraphCanvas, Minimap } from "./graph_canvas.js";
import { GraphSvg } from "./graph_svg.js";

const SVG_MOST = 400;
const CANVAS_MOST = 20000;

export function GraphTab({ run, jobs, version, openJob, chosen }) {
  const { search } = usePlace();
  const cells = search.cells === "1";
  const { data, error } = useDocument(`${runPath(run.id)}/graph?fold=${cells ? 0 : 1}`, { topic: null });
  const timeline = useDocument(run.ended_at ? `${runPath(run.id)}/timeline` : null).data;
  const critical = useMemo(() => new Set((timeline?.bars ?? []).filter((bar) => bar.critical).map((bar) => bar.ordinal)), [timeline]);
  if (!data) return html`<${Waiting} error=${error} />`;
  const open = (box) => {
    if (box.ordinals.length === 1) openJob(box.ordinals[0]);
    else if (box.ordinals.length) setSearch({ cells: "1" }, { replace: false });
  };
  const states = (box) => jobs?.states(box.ordinals) ?? [];
  return html`<${Graph} graph=${data} states=${states} stamp=${version} open=${open} chosen=${chosen} critical=${critical}
    tools=${html`<label class="check"><input type="checkbox" checked=${cells} onChange=${() => setSearch({ cells: cells ? null : "1" }, { replace: false })} /> every cell of a matrix</label>`}
    table=${html`The same as a table: <${Link} to=${runPath(run.id, "jobs")}>jobs<//>.`} />`;
}

export function Graph({ graph, states, stamp, open, chosen = null, critical = new Set(), tools = null, table = null }) {
  const shape = useMemo(() => geometry(graph), [graph]);
  const frame = useRef(null);
  const [view, setView] = useState(null); // { x, y, k }: the drawing is moved by x, y (px) and scaled by k
  const [size, setSize] = useState({ width: 800, height: 480 });
  const [find, setFind] = useState("");
  const [focus, setFocus] = useState(null);
  // As high as the drawing needs, within what the window has below the head of the page.
  const tall = Math.round(Math.min(Math.max(260, innerHeight - 380), Math.max(220, shape.height * 1.15 + 48)));
  const big = shape.boxes.length > SVG_MOST;

  useLayoutEffect(() => {
    const watch = new ResizeObserver(([entry]) => setSize({ width: entry.contentRect.width, height: entry.contentRect.height }));
    watch.observe(frame.current);
    const box = frame.current.getBoundingClientRect();
    setSize({ width: box.width, height: box.height });
    setView(fitted(shape, box));
    return () => watch.disconnect();
  }, [shape]);

  const zoom = (factor, px = size.width / 2, py = size.height / 2) => setView((at) => {
    const k = Math.min(3, Math.max(0.02, at.k * factor));
    return { k, x: px - ((px - at.x) * k) / at.k, y: py - ((py - at.y) * k) / at.k };
  });
  usePanning(frame, setView, zoom);

  const found = useMemo(() => {
    const text = find.toLowerCase();
    return text ? new Set(shape.boxes.filter((box) => box.label.toLowerCase().includes(text)).map((box) => box.id)) : null;
  }, [find, shape]);
  const show = (index) => {
    setFocus(index);
    const box = shape.boxes[index];
    setView((at) => {
      const [left, top] = [box.x * at.k + at.x, box.y * at.k + at.y];
      const dx = left < 20 ? 20 - left : Math.min(0, size.width - 20 - (left + box.w * at.k));
      const dy = top < 20 ? 20 - top : Math.min(0, size.height - 20 - (top + box.h * at.k));
      return { ...at, x: at.x + dx, y: at.y + dy };
    });
  };
  const press = (event) => {
    const at = focus ?? 0;
    if (event.key.startsWith("Arrow")) {
      const next = focus === null ? 0 : step(shape, at, event.key);
      event.preventDefault();
      if (next !== null && next !== undefined) show(next);
    } else if (event.key === "Enter" && focus !== null) open(shape.boxes[focus]);
    else if (event.key === "+" || event.key === "=") zoom(1.25);
    else if (event.key === "-") zoom(0.8);
    else if (event.key === "0") setView(fitted(shape, size));
  };
  if (!shape.boxes.length) return html`<${Empty}>There is no job to draw.<//>`;
  if (shape.boxes.length > CANVAS_MOST) return html`<${Empty}>${shape.boxes.length} boxes are too many for a drawing. ${tools} ${table}<//>`;
  const drawing = { shape, states, stamp, view, size, found, focus, chosen, critical, open, show: setFocus };
  return html`<div class="graphbar filters"><label>Find<input class="input" type="search" data-search value=${find} onInput=${(event) => setFind(event.target.value)} placeholder="part of a name" /></label>
      ${tools}<span class="grow"></span>
      ${found ? html`<span class="count" role="status">${found.size} found</span>` : null}
      <span class="buttons"><${Button} aria-label="Zoom out" onClick=${() => zoom(0.8)}>−<//><${Button} aria-label="Zoom in" onClick=${() => zoom(1.25)}>+<//><${Button} onClick=${() => setView(fitted(shape, size))}>Fit<//></span></div>
    <div class="graph" ref=${frame} style=${{ height: `${tall}px` }} tabindex="0" role="application" aria-label="Graph of jobs. Arrow keys follow the edges, Enter opens a job." aria-describedby="graph-table" onKeyDown=${press} onFocus=${() => focus === null && setFocus(0)}>
      ${view ? html`<${big ? GraphCanvas : GraphSvg} ...${drawing} />` : null}
      ${view && big ? html`<${Minimap} shape=${shape} states=${states} stamp=${stamp} view=${view} size=${size} moveTo=${setView} />` : null}
    </div>
    <p class="muted small" id="graph-table">${plural(shape.boxes.length, "box", "boxes")}${critical.size ? "; the critical path has a thick edge" : ""}. ${table}
      <span class="sr" aria-live="polite">${focus === null ? "" : spoken(shape.boxes[focus], states)}</span></p>`;
}

function spoken(box, states) {
  const seen = paint(box, states);
  return `${box.label}${seen.word ? `, ${seen.word}` : ""}${seen.note ? `, ${seen.note}` : ""}`;
}

function fitted(shape, size) {
  const k = Math.min(1.15, Math.max(0.02, Math.min((size.width - 16) / shape.width, (size.height - 16) / shape.height)));
  return { k, x: Math.max(8, (size.width - shape.width * k) / 2), y: Math.max(8, (size.height - shape.height * k) / 2) };
}

// Moving by pointer, zooming by wheel (with Ctrl, or a pinch): a plain wheel moves, as everywhere.
function usePanning(frame, setView, zoom) {
  const now = useRef(zoom);
  now.current = zoom;
  useEffect(() => {
    const node = frame.current;
    const pointers = new Map();
    let spread = 0;
    const place = (event) => { const box = node.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
    const down = (event) => { if (!event.target.closest(".minimap")) { pointers.set(event.pointerId, [event.clientX, event.clientY]); spread = 0; } };
    const move = (event) => {
      const before = pointers.get(event.pointerId);
      if (!before) return;
      const [dx, dy] = [event.clientX - before[0], event.clientY - before[1]];
      pointers.set(event.pointerId, [event.clientX, event.clientY]);
      if (pointers.size === 2) {
        const [a, b] = [...pointers.values()];
        const wide = Math.hypot(a[0] - b[0], a[1] - b[1]);
        if (spread) now.current(wide / spread, ...place(event));
        spread = wide;
      } else if (dx || dy) {
        if (Math.abs(dx) + Math.abs(dy) > 2) node.dataset.moved = "1";
        setView((at) => ({ ...at, x: at.x + dx, y: at.y + dy }));
      }
    };
    const up = (event) => { pointers.delete(event.pointerId); setTimeout(() => { delete node.dataset.moved; }, 0); };
    const wheel = (event) => {
      event.preventDefault();
      if (event.ctrlKey || event.metaKey) now.current(Math.exp(-event.deltaY / 300), ...place(event));
      else setView((at) => ({ ...at, x: at.x - event.deltaX, y: at.y - event.deltaY }));
    };
    node.addEventListener("pointerdown", down);
    addEventListener("pointermove", move);
    addEventListener("pointerup", up);
    addEventListener("pointercancel", up);
    node.addEventListener("wheel", wheel, { passive: false });
    return () => {
      node.removeEventListener("pointerdown", down);
      removeEventListener("pointermove", move);
      removeEventListener("pointerup", up);
      removeEventListener("pointercancel", up);
      node.removeEventListener("wheel", wheel);
    };
  }, []);
}
