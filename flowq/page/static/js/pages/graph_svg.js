// A graph of up to some hundred boxes as SVG.
import { curve } from "../graph_model.js";
import { html } from "../html.js";
import { paint } from "../run_model.js";

export function GraphSvg({ shape, states, view, found, focus, chosen, critical, open, show }) {
  const onPath = (index) => index >= 0 && index < shape.boxes.length && shape.boxes[index].ordinals.some((ordinal) => critical.has(ordinal));
  return html`<svg width="100%" height="100%" aria-hidden="true"><g transform=${`translate(${view.x},${view.y}) scale(${view.k})`}>
    ${shape.edges.map((edge, index) => html`<path key=${`e${index}`} class=${`edge${edge.condition === "success" ? "" : " edge-special"}${onPath(edge.from) && onPath(edge.to) ? " edge-critical" : ""}`} d=${curve(edge)}>${edge.condition === "success" ? null : html`<title>${edge.condition}</title>`}</path>`)}
    ${shape.edges.filter((edge) => edge.tip).map((edge) => html`<path class="tip" d=${`M${edge.x1 - 6},${edge.y1 - 3.5}L${edge.x1},${edge.y1}l-6,3.500z`}></path>`)}
    ${shape.boxes.map((box, index) => html`<${Box} key=${box.id} box=${box} seen=${paint(box, states)} classes=${[
      found && !found.has(box.id) && "dim", found?.has(box.id) && "found", focus === index && "focus", chosen !== null && box.ordinals.length === 1 && box.ordinals[0] === chosen && "chosen", onPath(index) && "critical",
    ].filter(Boolean).join(" ")} click=${(event) => { if (!event.currentTarget.closest(".graph").dataset.moved) { show(index); open(box); } }} />`)}
  </g></svg>`;
}

function Box({ box, seen, classes, click }) {
  const round = box.kind === "group" ? box.h / 2 : box.kind === "approval" ? 3 : 6;
  return html`<g class=${`box tone-${seen.tone} kind-${box.kind} ${classes}`} transform=${`translate(${box.x},${box.y})`} onClick=${click} data-box=${box.label}>
    <title>${box.label}${seen.word ? `: ${seen.word}` : ""}${seen.note ? `, ${seen.note}` : ""}</title>
    ${box.ordinals.length > 1 ? html`<rect class="behind" x="4" y="-4" width=${box.w - 4} height=${box.h} rx=${round}></rect>` : null}
    <rect width=${box.w} height=${box.h} rx=${round}></rect>
    <text class="mark" x="14" y=${box.h / 2 + 4.5} text-anchor="middle">${seen.mark || (box.kind === "approval" ? "‖" : "·")}</text>
    <text x="27" y=${box.h / 2 + 4.5}>${box.text}</text>
  </g>`;
}
