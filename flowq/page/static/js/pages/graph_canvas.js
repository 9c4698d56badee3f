// A graph of thousands of boxes on a canvas: only what is in view is drawn, labels from half size on.
import { FONT } from "../graph_model.js";
import { html, useEffect, useLayoutEffect, useRef } from "../html.js";
import { paint } from "../run_model.js";

const LABELS = 0.5;
const MAP = { width: 180, height: 110 };

export function colours(node) {
  const style = getComputedStyle(node);
  const value = (name) => style.getPropertyValue(name).trim();
  const tones = {};
  for (const tone of ["good", "bad", "busy", "wait", "idle"]) tones[tone] = { line: value(`--${tone}-fill`), fill: value(`--${tone}-bg`), text: value(`--${tone}`) };
  return { tones: { ...tones, plain: { line: value("--edge"), fill: value("--raised"), text: value("--text") } }, edge: value("--edge"), text: value("--text"), focus: value("--focus"), bg: value("--bg"), muted: value("--muted"), line: value("--line"), raised: value("--raised") };
}

function prepared(canvas, { width, height }) {
  const ratio = devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  return pen;
}

export function GraphCanvas({ shape, states, stamp, view, size, found, focus, chosen, open, show }) {
  const ref = useRef(null);
  const theme = useThemeStamp();
  useLayoutEffect(() => {
    const frame = requestAnimationFrame(() => draw(ref.current, { shape, states, view, size, found, focus, chosen }));
    return () => cancelAnimationFrame(frame);
  }, [shape, stamp, view, size, found, focus, chosen, theme.current]);
  const click = (event) => {
    if (event.currentTarget.closest(".graph").dataset.moved) return;
    const area = ref.current.getBoundingClientRect();
    const [x, y] = [(event.clientX - area.left - view.x) / view.k, (event.clientY - area.top - view.y) / view.k];
    const index = shape.boxes.findIndex((box) => x >= box.x && x <= box.x + box.w && y >= box.y && y <= box.y + box.h);
    if (index >= 0) { show(index); open(shape.boxes[index]); }
  };
  return html`<canvas ref=${ref} aria-hidden="true" onClick=${click} style=${{ width: `${size.width}px`, height: `${size.height}px` }}></canvas>`;
}

function useThemeStamp() {
  const stamp = useRef("");
  useEffect(() => undefined, []);
  stamp.current = `${document.documentElement.dataset.theme ?? ""}${matchMedia("(prefers-color-scheme: dark)").matches}`;
  return stamp;
}

function draw(canvas, { shape, states, view, size, found, focus, chosen }) {
  if (!canvas) return;
  const pen = prepared(canvas, size);
  const look = colours(canvas);
  const area = { left: -view.x / view.k, top: -view.y / view.k, right: (size.width - view.x) / view.k, bottom: (size.height - view.y) / view.k };
  pen.translate(view.x, view.y);
  pen.scale(view.k, view.k);
  pen.strokeStyle = look.edge;
  pen.globalAlpha = view.k < 0.2 ? 0.25 : 0.6;
  pen.lineWidth = 1 / Math.max(view.k, 0.5);
  pen.beginPath();
  for (const edge of shape.edges) {
    if (edge.x1 < area.left || edge.x0 > area.right || Math.max(edge.y0, edge.y1) < area.top || Math.min(edge.y0, edge.y1) > area.bottom) continue;
    pen.moveTo(edge.x0, edge.y0);
    const bend = (edge.x1 - edge.x0) / 2;
    if (edge.straight || edge.y0 === edge.y1 || view.k < 0.15) pen.lineTo(edge.x1, edge.y1);
    else pen.bezierCurveTo(edge.x0 + bend, edge.y0, edge.x1 - bend, edge.y1, edge.x1, edge.y1);
  }
  pen.stroke();
  pen.globalAlpha = 1;
  pen.font = FONT;
  pen.textBaseline = "middle";
  for (const [index, box] of shape.boxes.entries()) {
    if (box.x > area.right || box.x + box.w < area.left || box.y > area.bottom || box.y + box.h < area.top) continue;
    const seen = paint(box, states);
    const tone = look.tones[seen.tone];
    pen.globalAlpha = found && !found.has(box.id) ? 0.2 : 1;
    pen.fillStyle = view.k < LABELS ? tone.line : tone.fill;
    pen.fillRect(box.x, box.y, box.w, box.h);
    if (view.k >= LABELS) {
      pen.strokeStyle = tone.line;
      pen.lineWidth = 1.25;
      pen.strokeRect(box.x, box.y, box.w, box.h);
      pen.fillStyle = tone.text;
      pen.fillText(seen.mark || "·", box.x + 9, box.y + box.h / 2 + 1);
      pen.fillStyle = look.text;
      pen.fillText(box.text, box.x + 27, box.y + box.h / 2 + 1);
    }
    if (index === focus || (chosen !== null && box.ordinals.length === 1 && box.ordinals[0] === chosen)) {
      pen.strokeStyle = look.focus;
      pen.lineWidth = 2.5 / Math.min(1, view.k);
      pen.strokeRect(box.x - 2, box.y - 2, box.w + 4, box.h + 4);
    }
  }
  pen.globalAlpha = 1;
}

export function Minimap({ shape, states, stamp, view, size, moveTo }) {
  const ref = useRef(null);
  const k = Math.min(MAP.width / shape.width, MAP.height / shape.height);
  useEffect(() => {
    const frame = requestAnimationFrame(() => {
      if (!ref.current) return;
      const pen = prepared(ref.current, MAP);
      const look = colours(ref.current);
      for (const box of shape.boxes) {
        pen.fillStyle = look.tones[paint(box, states).tone].line;
        pen.fillRect(box.x * k, box.y * k, Math.max(1, box.w * k), Math.max(1, box.h * k));
      }
      pen.strokeStyle = look.focus;
      pen.lineWidth = 1.5;
      pen.strokeRect((-view.x / view.k) * k, (-view.y / view.k) * k, (size.width / view.k) * k, (size.height / view.k) * k);
    });
    return () => cancelAnimationFrame(frame);
  }, [shape, stamp, view, size]);
  const go = (event) => {
    if (event.type === "pointermove" && !event.buttons) return;
    const area = ref.current.getBoundingClientRect();
    const [x, y] = [(event.clientX - area.left) / k, (event.clientY - area.top) / k];
    moveTo((at) => ({ ...at, x: size.width / 2 - x * at.k, y: size.height / 2 - y * at.k }));
  };
  return html`<canvas class="minimap" ref=${ref} aria-hidden="true" onPointerDown=${go} onPointerMove=${go} style=${{ width: `${MAP.width}px`, height: `${MAP.height}px` }}></canvas>`;
}
