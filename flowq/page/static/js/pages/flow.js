// One flow: what it is, its graph, params, schedules, runs, diagnostics and text.
import { query } from "../api.js";
import { useDocument } from "../data.js";
import { html } from "../html.js";
import { Button, Card, Chips, Empty, Table, Waiting } from "../parts.js";
import { Link, navigate, runPath, setSearch, usePlace } from "../router.js";
import { JobsBar, Status } from "../status.js";
import { Time, Took, formatDuration, secondsBetween } from "../time.js";
import { Graph } from "./graph.js";
import { flowPath } from "./flows.js";
import { Source } from "./run_texts.js";

const VIEWS = [["overview", "Overview"], ["graph", "Graph"], ["source", "YAML"]];

export function FlowPage({ args: [part] }) {
  const { data, error } = useDocument(`/flows/${part}`, { topic: "runs", pause: 3000 });
  const { search } = usePlace();
  if (!data) return html`<div class="pagehead"><h1>${part.replaceAll(":", "/")}</h1></div><${Waiting} error=${error} what="This flow" />`;
  const view = search.view ?? "overview";
  return html`<div class="pagehead"><h1>${data.name}</h1>${data.valid ? null : html`<span class="status is-bad"><span class="mark" aria-hidden="true">✖</span>not valid</span>`}
      <span class="sub">${[data.jobs === null ? null : `${data.jobs} ${data.jobs === 1 ? "job" : "jobs"}`, data.expected_seconds ? `about ${formatDuration(data.expected_seconds)}` : null].filter(Boolean).join(", ")}</span>
      <span class="grow"></span><${Button} role="operator" write kind="main" disabled=${!data.valid} onClick=${() => navigate(flowPath(data.name, "launch"))}>Launch …<//></div>
    ${data.description ? html`<p class="lead wraps">${data.description}</p>` : null}
    <nav class="tabs" aria-label="Views of the flow">${VIEWS.map(([name, title]) => html`<${Link} key=${name} to=${flowPath(data.name)} search=${name === "overview" ? null : { view: name }} aria-current=${name === view ? "page" : undefined}>${title}<//>`)}</nav>
    ${view === "graph" ? html`<${FlowGraph} part=${part} />` : view === "source" ? html`<${FlowSource} part=${part} marks=${new Set(data.diagnostics.map((item) => item.line))} />` : html`<${Overview} flow=${data} />`}`;
}

function Overview({ flow }) {
  const runs = useDocument(`/runs${query({ flow: flow.name, limit: 20 })}`, { topic: "runs", pause: 1000 }).data;
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
      ["Next", (row) => (row.paused ? html`<span class="status is-wait"><span class="mark" aria-hidden="true">‖</span>paused</span>` : html`<${Time} at=${row.next} zone=${row.timezone} slot />`)],
    ]} /><//>` : null}
    ${flow.triggers.length ? html`<${Card} title="Triggers" count=${flow.triggers.length}><${Table} caption="Triggers" rows=${flow.triggers} rowKey=${(row) => row.name} columns=${[
      ["Name", (row) => html`<code>${row.name}</code>`, { main: true }],
      ["Kind", (row) => row.kind],
      ["Starts on", (row) => html`<span class="wraps">${row.events}</span>`],
    ]} /><//>` : null}
    <${Card} title="Runs" tools=${html`<${Link} to="/runs" search=${{ flow: flow.name }}>all<//>`}>${!runs ? html`<${Waiting} />` : runs.items.length ? html`<${Table} caption="Runs of the flow" rows=${runs.items} rowKey=${(run) => run.id} columns=${[
      ["Run", (run) => html`<${Link} to=${runPath(run.id)} class="mono">${run.id}<//>`, { main: true }],
      ["Status", (run) => html`<${Status} status=${run.status} orphaned=${run.orphaned} canceling=${run.canceling} />`],
      ["Jobs", (run) => html`<${JobsBar} counts=${run.counts} total=${run.selected ?? run.total} />`],
      ["Params", (run) => html`<${Chips} values=${run.params} />`],
      ["Started", (run) => html`<${Time} at=${run.started_at ?? run.created_at} />`],
      ["Took", (run) => html`<${Took} seconds=${run.ended_at ? secondsBetween(run.started_at, run.ended_at, 0) : null} />`, { right: true }],
    ]} />` : html`<${Empty}>It has not run yet.<//>`}<//>
  </div>`;
}

// A diagnostic as the command line prints it: its code and message, the line, what to write instead.
export function Diagnostic({ item }) {
  const bad = item.severity === "error";
  const caret = item.text ? `${" ".repeat(Math.max(0, item.column - 1))}${"^".repeat(Math.max(1, (item.end_column ?? item.column + 1) - item.column))}` : "";
  return html`<div class="lines"><p class="wraps"><span class=${`status is-${bad ? "bad" : "wait"}`}><span class="mark" aria-hidden="true">${bad ? "✖" : "!"}</span>${item.severity} ${item.code}</span> ${item.message}</p>
    <p class="muted mono small wraps">${item.file}:${item.line}:${item.column}</p>
    ${item.text ? html`<pre class="code">${item.text}${"\n"}<span class="caret">${caret}</span></pre>` : null}
    ${item.help ? html`<p class="muted wraps">${item.help}</p>` : null}</div>`;
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
