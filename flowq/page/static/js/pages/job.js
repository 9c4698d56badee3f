// The drawer of one job: log, result, error, why, attempts, and what can be done to it.
import { post } from "../api.js";
import { plain } from "../ansi.js";
import { useDocument, useNow } from "../data.js";
import { html, useEffect, useRef, useState } from "../html.js";
import { Action, Button, Chips, Copy, Empty, Waiting } from "../parts.js";
import { runPath, setSearch, usePlace } from "../router.js";
import { Badge, ENDED, Status, reasonText } from "../status.js";
import { Time, Took, secondsBetween } from "../time.js";
import { JobArtifacts } from "./artifacts.js";
import { Decide } from "./decide.js";
import { JobLog } from "./job_log.js";
import { Json } from "./json_tree.js";
import { Retry } from "./retry.js";
import { Source } from "./run_texts.js";

const LINES = 8; // of the flow file
const VIEWS = [["log", "Log"], ["error", "Error"], ["result", "Result"], ["artifacts", "Artifacts"], ["why", "Why"], ["attempts", "Attempts"], ["details", "Details"]];

function firstView(row) {
  if (row.reason === "approval" || row.status === "skipped" || (row.status === "deferred")) return "why";
  return (row.status === "failed" || row.status === "stopped") ? "error" : "log";
}

export function JobDrawer({ run, row, reload }) {
  const { search } = usePlace();
  const ref = useRef(null);
  const [retrying, setRetrying] = useState(false);
  const path = `${runPath(run.id)}/jobs/${row.ordinal}`;
  const { data, error, reload: again } = useDocument(path, { topic: `run:${run.id}`, pause: 800, on: (message) => !message.jobs || message.jobs.some(([ordinal]) => ordinal === row.ordinal) });
  useEffect(() => {
    const before = document.activeElement;
    ref.current.focus({ preventScroll: true });
    return () => { if (before?.isConnected) before.focus({ preventScroll: true }); };
  }, []);
  const now = useNow(row.status === "started");
  const view = search.view ?? firstView(row);
  const waits = row.status === "deferred" && row.reason === "approval";
  const refresh = () => { again(); reload(); };
  const took = row.status === "started" ? secondsBetween(row.started_at, null, now) : row.duration;
  return html`<aside class="drawer" ref=${ref} tabindex="-1" aria-label=${`Job ${row.name}`}>
    <header><div class="grow"><h2 class="wraps">${row.name}</h2><p class="drawerfacts"><${Status} status=${row.status} allowed=${row.allowed} reason=${row.reason} />
        ${reasonText(row.reason) ? html`<span class="muted">${reasonText(row.reason)}</span>` : null}<${Took} seconds=${took} empty="" /><${Time} at=${row.started_at} empty="" /></p></div>
      <${Button} kind="quiet" aria-label="Close the job" onClick=${() => setSearch({ job: null, view: null })}>×<//></header>
    <div class="buttons drawerbuttons">
      ${waits ? html`<${Decide} run=${run.id} job=${row.ordinal} name=${row.name} message=${data?.approval?.message} done=${refresh} />` : null}
      ${ENDED.has(row.status) && ENDED.has(run.status) ? html`<${Button} small write role="operator" onClick=${() => setRetrying(true)}>Retry this job …<//>` : null}
      ${!ENDED.has(row.status) && !waits ? html`<${Action} small kind="danger" run=${() => post(`${path}/cancel`).then(refresh)}>Cancel this job<//>` : null}
    </div>
    <nav class="tabs" aria-label="Views of the job">${VIEWS.filter(([name]) => name === view || (name === "error" ? data?.error : name === "artifacts" ? data?.artifacts || data?.fetch.length : true)).map(([name, title]) => html`<a key=${name} href=${`?job=${row.ordinal}&view=${name}`} aria-current=${name === view ? "page" : undefined} onClick=${(event) => { event.preventDefault(); setSearch({ view: name }); }}>${title}</a>`)}</nav>
    <div class="drawerbody"><${View} key=${`${view} ${row.attempts}`} view=${view} run=${run} row=${row} path=${path} data=${data} error=${error} /></div>
    ${retrying ? html`<${Retry} run=${run} jobs=${[row.name]} onClose=${() => setRetrying(false)} reload=${refresh} />` : null}
  </aside>`;
}

function View({ view, run, row, path, data, error }) {
  if (view === "log") return html`<${JobLog} path=${path} topic=${`log:${run.id}/${row.ordinal}`} status=${row.status} />`;
  if (view === "result") return html`<${Result} path=${path} status=${row.status} />`;
  if (view === "why") return html`<${Why} path=${path} />`;
  if (!data) return html`<${Waiting} error=${error} what="This job" />`;
  if (view === "error") return html`<${ErrorView} data=${data} />`;
  if (view === "artifacts") return html`<${JobArtifacts} run=${run} data=${data} />`;
  if (view === "attempts") return html`<${Attempts} data=${data} />`;
  return html`<${Details} data=${data} row=${row} />`;
}

function ErrorView({ data }) {
  return html`<div class="stack">
    ${data.error ? html`<pre class="code code-bad" tabindex="0" aria-label="Error">${plain(data.error)}</pre>` : html`<${Empty}>It has no error.<//>`}
    <${FlowLine} data=${data} />
    ${data.command?.retry ? html`<${Copy} text=${data.command.retry} />` : null}</div>`;
}

// The lines of the flow file from which the job comes, where the file is still the one of the run.
function FlowLine({ data }) {
  const files = useDocument(`${runPath(data.run)}/source`).data?.files ?? [];
  const lines = files.find((item) => item.file === data.file)?.text?.split("\n");
  const from = data.line - 1;
  const shown = (lines ?? []).slice(from, from + LINES);
  const name = data.file.split("/").slice(-2).join("/");
  return html`<div class="lines"><h3 class="mono wraps" title=${data.file}>${name}:${data.line}</h3>${shown.length ? html`<${Source} text=${shown.join("\n")} first=${data.line} marks=${new Set([data.line])} />` : null}</div>`;
}

function Result({ path, status }) {
  const { data, error } = useDocument(`${path}/result`);
  if (error?.status === 404 || error?.status === 409) return html`<${Empty}>${ENDED.has(status) ? "It has no result." : "It has not ended yet."}<//>`;
  if (!data) return html`<${Waiting} error=${error} />`;
  return data.result === null || data.result === undefined ? html`<${Empty}>It returned nothing.<//>` : html`<${Json} value=${data.result} />`;
}

// The tree of `flowq why`: each job with what it comes from below it.
function Why({ path }) {
  const { data, error } = useDocument(`${path}/why`);
  if (!data) return html`<${Waiting} error=${error} />`;
  return html`<div class="why"><${WhyNode} node=${data} /></div>`;
}

function WhyNode({ node }) {
  return html`<div><p class="buttons"><strong class="wraps mono">${node.name}</strong><${Status} status=${node.status} reason=${node.reason} /></p>
    <p class="wraps prewrap">${plain(node.text)}</p>
    ${node.details.map((detail) => html`<p class="wraps muted">${plain(detail)}</p>`)}
    ${node.skipped ? html`<p class="muted">${node.skipped} steps further:</p>` : null}
    ${node.causes.length ? html`<ul>${node.causes.map((cause) => html`<li><${WhyNode} node=${cause} /></li>`)}</ul>` : null}
    ${node.more ? html`<p class="muted">and ${node.more} more</p>` : null}</div>`;
}

function Attempts({ data }) {
  const list = data.attempts_list ?? [];
  if (!list.length) return html`<${Empty}>It was not started.<//>`;
  return html`<table class="table"><caption class="sr">Executions</caption><thead><tr><th scope="col">#</th><th scope="col">Status</th><th scope="col">Started</th><th scope="col">Took</th></tr></thead>
    <tbody>${list.map((item) => html`<tr key=${item.execution}><td class="num" data-label="Attempt">${item.attempt}</td><td data-label="Status">${item.ended_at && !ENDED.has(item.status) ? html`<${Badge} tone="wait" mark="↻">retried<//>` : html`<${Status} status=${item.status} reason=${item.reason} />`}</td><td data-label="Started"><${Time} at=${item.started_at} /></td>
      <td data-label="Took"><${Took} seconds=${item.ended_at ? secondsBetween(item.started_at, item.ended_at, 0) : null} /></td></tr>`)}</tbody></table>`;
}

function Details({ data, row }) {
  const rows = [
    ["Queue", data.queue], ["Worker", data.worker], ["Attempts", `${data.attempts} of ${data.max_attempts ?? data.attempts}`], ["Depends on", (data.depends_on ?? []).join(", ")], ["Stage", data.stage],
    ["Cache", data.cache ? `${data.cache.hit ? "hit" : "miss"}: ${data.cache.reason}` : null], ["Item", data.item], ["Secrets", (data.secrets ?? []).join(", ")],
    ["Decided by", data.approval?.by ? `${data.approval.by}${data.approval.comment ? `: ${data.approval.comment}` : ""}` : null], ["Job id", data.id],
  ].filter(([, value]) => value);
  return html`<div class="stack">${data.description ? html`<p class="wraps">${data.description}</p>` : null}
    <dl class="pairs">${rows.map(([name, value]) => html`<dt>${name}</dt><dd class="wraps">${value}</dd>`)}${Object.keys(data.labels ?? {}).length ? html`<dt>Labels</dt><dd><${Chips} values=${data.labels} /></dd>` : null}</dl>
    <${FlowLine} data=${data} />
    ${Object.values(data.command ?? {}).map((text) => html`<${Copy} key=${text} text=${text} />`)}
    <p class="muted small">ordinal ${row.ordinal}</p></div>`;
}
