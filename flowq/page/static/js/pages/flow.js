// One flow: what it is, its graph, params, schedules, runs, diagnostics and text.
import { query } from "../api.js";
import { useDocument, useNow } from "../data.js";
import { html } from "../html.js";
import { Button, Card, Chips, Empty, Table, Tabs, Waiting, plural } from "../parts.js";
import { Link, navigate, runPath, setSearch, usePlace } from "../router.js";
import { Badge, Invalid, Paused } from "../status.js";
import { Time, formatDuration } from "../time.js";
import { Graph } from "./graph.js";
import { flowPath } from "./flows.js";
import { Source } from "./run_texts.js";
import { column } from "../run_columns.js";

const VIEWS = [["overview", "Overview"], ["graph", "Graph"], ["source", "YAML"]];

export function FlowPage({ args: [part] }) {
  const { data, error } = useDocument(`/flows/${part}`, { topic: "runs", pause: 3000 });
  const { search } = usePlace();
  if (!data) return html`<div class="pagehead"><h1>${part.replaceAll(":", "/")}</h1></div><${Waiting} error=${error} what="This flow" />`;
  const view = search.view ?? "overview";
  return html`<div class="pagehead"><h1>${data.name}</h1>${data.valid ? null : html`<${Invalid} />`}
      <span class="sub">${[data.jobs === null ? null : plural(data.jobs, "job"), data.expected_seconds ? `about ${formatDuration(data.expected_seconds)}` : null].filter(Boolean).join(", ")}</span>
      <span class="grow"></span><${Button} role="operator" write kind="main" disabled=${!data.valid} onClick=${() => navigate(flowPath(data.name, "launch"))}>Launch …<//></div>
    ${data.description ? html`<p class="lead wraps">${data.description}</p>` : null}
    <${Tabs} label="Views of the flow" views=${VIEWS} current=${view} to=${(name) => ({ to: flowPath(data.name), search: name === "overview" ? null : { view: name } })} />
    ${view === "graph" ? html`<${FlowGraph} part=${part} />` : view === "source" ? html`<${FlowSource} part=${part} marks=${new Set(data.diagnostics.map((item) => item.line))} />` : html`<${Overview} flow=${data} />`}`;
}

function Overview({ flow }) {
  const runs = useDocument(`/runs${query({ flow: flow.name, limit: 20 })}`, { topic: "runs", pause: 1000 }).data;
  const now = useNow(Boolean(runs?.items.some((run) => !run.ended_at)));
  return html`<div class="stack">
    ${flow.diagnostics.length ? html`<${Card} title="Diagnostics" count=${flow.diagnostics.length}><div class="body stack">${flow.diagnostics.map((item) => html`<${Diagnostic} item=${item} key=${`${item.line} ${item.code} ${item.message}`} />`)}</div><//>` : null}
    <${Card} title="Params" count=${flow.params.length}>${flow.params.length ? html`<${Table} caption="Params" rows=${flow.params} rowKey=${(param) => param.name} columns=${[
      ["Name", (param) => html`<code>${param.name}</code>`, { main: true }],
      ["Type", (param) => html`${param.type}${param.enum ? html` <span class="muted">one of ${param.enum.join(", ")}</span>` : null}`],
      ["Default", (param) => (param.required ? html`<span class="muted">required</span>` : param.has_default ? html`<code>${JSON.stringify(param.default)}</code>` : html`<span class="muted">none</span>`)],
      ["Description", (param) => param.description && html`<span class="wraps muted">${param.description}</span>`],
    ]} />` : html`<${Empty}>It takes none.<//>`}<//>
    ${flow.schedules.length ? html`<${Card} title="Schedules" count=${flow.schedules.length}><${Table} caption="Schedules" rows=${flow.schedules} rowKey=${(row) => row.id} columns=${[
      ["Schedule", (row) => html`<${Link} to="/schedules" search=${{ schedule: row.id }}>${row.id}<//>`, { main: true }],
      ["When", (row) => html`<code>${row.when}</code>`],
      ["Next", (row) => (row.paused ? html`<${Paused} />` : html`<${Time} at=${row.next} zone=${row.timezone} slot />`)],
    ]} /><//>` : null}
    ${flow.triggers.length ? html`<${Card} title="Triggers" count=${flow.triggers.length}><${Table} caption="Triggers" rows=${flow.triggers} rowKey=${(row) => row.name} columns=${[
      ["Name", (row) => html`<code>${row.name}</code>`, { main: true }],
      ["Kind", (row) => row.kind],
      ["Starts on", (row) => html`<span class="wraps">${row.events}</span>`],
    ]} /><//>` : null}
    <${Card} title="Runs" tools=${html`<${Link} to="/runs" search=${{ flow: flow.name }}>all<//>`}>${!runs ? html`<${Waiting} />` : runs.items.length ? html`<${Table} caption="Runs of the flow" rows=${runs.items} rowKey=${(run) => run.id} columns=${[
      ["Run", (run) => html`<${Link} to=${runPath(run.id)} class="mono">${run.id}<//>`, { main: true }],
      column("Status"), column("Jobs"),
      ["Params", (run) => html`<${Chips} values=${run.params} />`],
      column("Started"), column("Took", now),
    ]} />` : html`<${Empty}>It has not run yet.<//>`}<//>
  </div>`;
}

// A diagnostic as the command line prints it: its code and message, the line, what to write instead.
export function Diagnostic({ item }) {
  const bad = item.severity === "error";
  return html`<div class="lines"><p class="wraps"><${Badge} tone=${bad ? "bad" : "wait"} mark=${bad ? "✖" : "!"}>${item.severity} ${item.code}<//> ${item.message}</p>
    <p class="muted mono small wraps">${item.file}:${item.line}:${item.column}</p>
    ${item.text ? html`<${Line} item=${item} />` : null}
    ${item.help ? html`<p class="muted wraps">${item.help}</p>` : null}</div>`;
}

// The line of a diagnostic. The place is marked in it: carets below would be elsewhere as soon as the line wraps.
function Line({ item }) {
  const letters = Array.from(item.text);
  const from = Math.min(Math.max(0, item.column - 1), letters.length);
  const to = Math.max(from + 1, (item.end_column ?? 0) - 1);
  return html`<pre class="code">${letters.slice(0, from).join("")}<mark class="place">${letters.slice(from, to).join("") || " "}</mark>${letters.slice(to).join("")}</pre>`;
}

function FlowGraph({ part }) {
  const { search } = usePlace();
  const cells = search.cells === "1";
  const { data, error } = useDocument(`/flows/${part}/graph?fold=${cells ? 0 : 1}`);
  if (!data) return html`<${Waiting} error=${error} what="The graph" />`;
  return html`<${Graph} graph=${data} states=${() => []} stamp=${0} open=${() => null}
    tools=${html`<label class="check"><input type="checkbox" checked=${cells} onChange=${() => setSearch({ cells: cells ? null : "1" })} /> every cell of a matrix</label>`} />`;
}

function FlowSource({ part, marks }) {
  const { data, error } = useDocument(`/flows/${part}/source`);
  if (!data) return html`<${Waiting} error=${error} what="The file" />`;
  return data.files.map(({ file, text }) => html`<section key=${file}><h2 class="mono wraps">${file}</h2><${Source} text=${text} marks=${marks} /></section>`);
}
