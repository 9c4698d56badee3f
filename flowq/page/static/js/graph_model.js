// The geometry of a graph, from the rows and columns that the server gives.
const HIGH = 28;
const ROW = 42;
const GAP = 52;
const PAD = 16;
const LONGEST = 34; // characters of a label

const measuring = document.createElement("canvas").getContext("2d");
export const FONT = "12.5px ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace";

const shorten = (label) => (label.length > LONGEST ? `${label.slice(0, LONGEST - 1)}…` : label);

// { boxes: [{…, x, y, w, h, text}], edges: [{from, to, condition, x0, y0, x1, y1, tip}], width, height, before, after }
export function geometry(graph) {
  measuring.font = FONT;
  const char = measuring.measureText("0").width;
  const wide = new Array(graph.columns).fill(10);
  for (const box of graph.boxes) {
    box.text = shorten(box.label);
    wide[box.column] = Math.max(wide[box.column], box.text.length * char + 42);
  }
  const left = [];
  let x = PAD;
  for (const [column, width] of wide.entries()) { left[column] = x; x += width + GAP; }
  const boxes = graph.boxes.map((box) => ({ ...box, x: left[box.column], y: PAD + box.row * ROW, w: wide[box.column], h: HIGH }));
  const count = boxes.length;
  const spot = (item) => {
    if (item < count) return boxes[item];
    const [column, row] = graph.passes[item - count];
    return { x: left[column], y: PAD + row * ROW, w: wide[column], h: HIGH };
  };
  const edges = graph.edges.map(([from, to, condition]) => {
    const [a, b] = [spot(from), spot(to)];
    return { from, to, condition, x0: a.x + a.w, y0: a.y + HIGH / 2, x1: b.x, y1: b.y + HIGH / 2, tip: to < count };
  });
  for (const [index] of graph.passes.entries()) { // a pass is a line through its column
    const at = spot(count + index);
    edges.push({ from: -1, to: -1, condition: "success", x0: at.x, y0: at.y + HIGH / 2, x1: at.x + at.w, y1: at.y + HIGH / 2, tip: false, straight: true });
  }
  return { boxes, edges, width: Math.max(60, x - GAP + PAD), height: graph.rows * ROW + 2 * PAD - (ROW - HIGH), ...neighbours(graph) };
}

// The boxes before and after each box, through passes.
function neighbours({ boxes, edges }) {
  const next = new Map();
  for (const [from, to] of edges) next.set(from, [...(next.get(from) ?? []), to]);
  const ends = (item, seen) => (next.get(item) ?? []).flatMap((to) => (to < boxes.length ? [to] : seen.has(to) ? [] : ends(to, seen.add(to))));
  const after = boxes.map((_, index) => [...new Set(ends(index, new Set()))]);
  const before = boxes.map(() => []);
  for (const [index, some] of after.entries()) for (const to of some) before[to].push(index);
  return { before, after };
}

export function curve({ x0, y0, x1, y1, straight }) {
  if (straight || y0 === y1) return `M${x0},${y0}H${x1}`;
  const bend = (x1 - x0) / 2;
  return `M${x0},${y0}C${x0 + bend},${y0} ${x1 - bend},${y1} ${x1},${y1}`;
}

// The box that an arrow key leads to.
export function step({ boxes, before, after }, index, key) {
  const here = boxes[index];
  const nearest = (some) => some.reduce((best, other) => (best === null || Math.abs(boxes[other].row - here.row) < Math.abs(boxes[best].row - here.row) ? other : best), null);
  if (key === "ArrowRight") return nearest(after[index]);
  if (key === "ArrowLeft") return nearest(before[index]);
  const column = boxes.map((_, other) => other).filter((other) => boxes[other].column === here.column && other !== index);
  const side = column.filter((other) => (key === "ArrowUp" ? boxes[other].row < here.row : boxes[other].row > here.row));
  return nearest(side);
}
