// The flows of the served directory, as a list by folder.
import { segment } from "../api.js";
import { useDocument } from "../data.js";
import { html, useState } from "../html.js";
import { Empty, Table, Waiting, may, plural } from "../parts.js";
import { Link, navigate, runPath } from "../router.js";
import { Invalid, look } from "../status.js";
import { Time } from "../time.js";

const SHOWN = 200; // flows that are drawn at first

export const flowPath = (name, tab = "") => `/flows/${segment(name)}${tab ? `/${tab}` : ""}`;

// The last runs, oldest first: mark and colour in each square, the words in its title.
function Squares({ runs }) {
  if (!runs.length) return html`<span class="muted">none</span>`;
  return html`<span class="squares">${[...runs].reverse().map((run) => {
    const { word, tone, mark } = look(run.status);
    return html`<${Link} key=${run.id} to=${runPath(run.id)} class=${`square is-${tone}`} title=${`${run.id}: ${word}`} aria-label=${`Run ${run.id}: ${word}`}><span aria-hidden="true">${mark}</span><//>`;
  })}</span>`;
}

export function FlowsPage() {
  const { data, error } = useDocument("/flows", { topic: "runs", pause: 2000, all: true });
  const [text, setText] = useState("");
  const [most, setMost] = useState(SHOWN);
  if (!data) return html`<div class="pagehead"><h1>Flows</h1></div><${Waiting} error=${error} />`;
  const fitting = data.items.filter((flow) => `${flow.name} ${flow.description}`.toLowerCase().includes(text.toLowerCase()));
  const rows = fitting.slice(0, most);
  const bad = data.items.filter((flow) => !flow.valid).length;
  const folders = Map.groupBy(rows, (flow) => flow.name.split("/").slice(0, -1).join("/"));
  return html`<div class="pagehead"><h1>Flows</h1><span class="sub">${plural(data.items.length, "flow")}${bad ? `, ${bad} not valid` : ""}</span></div>
    ${data.items.length ? html`<div class="filters" role="search" aria-label="Filter of flows"><label>Find<input class="input" type="search" data-search value=${text} onInput=${(event) => setText(event.target.value)} placeholder="name or description" /></label></div>` : html`<${Empty}>No directory is served here: <code>flowq serve DIR</code> serves one.<//>`}
    ${data.items.length && !rows.length ? html`<${Empty}>No flow fits.<//>` : null}
    <div class="stack flows">${[...folders].map(([folder, flows]) => html`<section key=${folder}>${folder ? html`<h2 class="folder mono">${folder}/</h2>` : null}
      <${Table} caption=${folder ? `Flows in ${folder}` : "Flows"} rows=${flows} rowKey=${(flow) => flow.name} columns=${[
        ["Flow", (flow) => html`<${Link} to=${flowPath(flow.name)}>${flow.name.split("/").at(-1)}<//>`, { main: true, class: "flowname" }],
        ["Description", (flow) => (flow.valid ? flow.description && html`<span class="wraps muted">${flow.description}</span>` : html`<${Invalid} /> <span class="muted">${flow.problem ?? plural(flow.diagnostics_count, "mistake")}</span>`)],
        ["Last runs", (flow) => html`<${Squares} runs=${flow.last_runs} />`, { class: "flowruns" }],
        ["Next slot", (flow) => (flow.next_slot ? html`<${Time} at=${flow.next_slot.at} zone=${flow.next_slot.timezone} slot />` : null), { class: "flownext" }],
        ["", (flow) => (may("operator") && flow.valid ? html`<button type="button" class="button button-small" onClick=${() => navigate(flowPath(flow.name, "launch"))} aria-label=${`Launch ${flow.name}`}>Launch …</button>` : null), { class: "actions" }],
      ]} /></section>`)}</div>
    ${fitting.length > most ? html`<p><button type="button" class="button" onClick=${() => setMost(most + SHOWN)}>Show ${Math.min(SHOWN, fitting.length - most)} of ${fitting.length - most} more</button></p>` : null}`;
}
