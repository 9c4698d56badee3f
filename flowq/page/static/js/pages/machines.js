// Queues and workers: what waits, who works on what.
import { post, segment } from "../api.js";
import { useDocument, useNow } from "../data.js";
import { html, useEffect, useState } from "../html.js";
import { Action, Button, Confirm, Empty, Table, Waiting, plural } from "../parts.js";
import { Link, runPath } from "../router.js";
import { Time, Took, formatDuration, secondsBetween } from "../time.js";
import { Badge } from "../status.js";

// Queues and workers have no messages of their own: they are read again every few seconds.
function usePolled(path) {
  const found = useDocument(path, { topic: "runs", pause: 1000, all: true });
  useEffect(() => {
    const timer = setInterval(found.reload, 5000);
    return () => clearInterval(timer);
  }, [found.reload]);
  return found;
}

export function QueuesPage() {
  const { data, error, reload } = usePolled("/queues");
  const now = useNow(true);
  if (!data) return html`<div class="pagehead"><h1>Queues</h1></div><${Waiting} error=${error} />`;
  const rows = data.items;
  const count = (key) => (row) => html`<span class=${row[key] ? "num" : "num muted"}>${row[key]}</span>`;
  return html`<div class="pagehead"><h1>Queues</h1><span class="sub">${plural(rows.length, "queue")}</span><span class="grow"></span><${Suspension} data=${data} reload=${reload} /></div>
    ${data.suspended ? html`<p class="note note-wait">All workers are suspended: they finish what they run and claim nothing.</p>` : null}
    ${rows.length ? html`<${Table} caption="Queues" rows=${rows} rowKey=${(row) => row.name} columns=${[
      ["Queue", (row) => html`<span class="mono">${row.name}</span>`, { main: true }],
      ["Queued", count("queued"), { right: true }],
      ["Running", count("started"), { right: true }],
      ["Waiting", count("deferred"), { right: true }],
      ["Scheduled", count("scheduled"), { right: true }],
      ["Oldest waits", (row) => html`<${Took} seconds=${secondsBetween(row.oldest_at, null, now)} />`],
      ["Workers", (row) => (row.workers || !row.queued ? html`<span class="num">${row.workers}</span>` : html`<${Badge} tone="bad" mark="✖">none<//>`), { right: true }],
    ]} />` : html`<${Empty}>There is no queue: a queue appears with its first job or worker.<//>`}`;
}

// Suspending is for all workers at once, as in the command line.
function Suspension({ data, reload }) {
  const [asking, setAsking] = useState(false);
  if (data.suspended) return html`<${Action} kind="main" run=${() => post("/queues/resume").then(reload)}>Resume all workers<//>`;
  return html`<${Button} write role="operator" onClick=${() => setAsking(true)}>Suspend all workers …<//>
    ${asking ? html`<${Confirm} title="Suspend all workers?" action="Suspend" onClose=${() => setAsking(false)} run=${() => post("/queues/suspend").then(reload)}><p>They finish the jobs that they run and claim no others, on every machine, until they are resumed.</p><//>` : null}`;
}

export function WorkersPage() {
  const { data, error, reload } = usePolled("/workers");
  const [stopping, setStopping] = useState(null);
  const [killing, setKilling] = useState(null); // { worker, job }
  const now = useNow(true);
  if (!data) return html`<div class="pagehead"><h1>Workers</h1></div><${Waiting} error=${error} />`;
  const rows = data.items;
  return html`<div class="pagehead"><h1>Workers</h1><span class="sub">${plural(rows.length, "worker")}</span></div>
    ${rows.length ? html`<${Table} caption="Workers" rows=${rows} rowKey=${(row) => row.name} columns=${[
      ["Worker", (row) => html`<span class="mono wraps">${row.name}</span>`, { main: true }],
      ["State", (row) => html`<${Badge} tone=${{ busy: "busy", idle: "idle", away: "wait", suspended: "wait", stopping: "wait" }[row.state] ?? "idle"} mark=${{ busy: "▶", away: "‖", suspended: "‖", stopping: "‖" }[row.state] ?? "○"}>${row.state}<//>`],
      ["Queues", (row) => html`<span class="mono wraps">${row.queues.join(", ")}</span>`],
      ["Slots", (row) => html`<span class="num">${row.busy}/${row.slots}</span>`, { right: true }],
      ["Works on", (row) => html`<span class="wraps">${row.jobs.map((job) => html`<${WorkersJob} key=${job.id} job=${job} now=${now} kill=${() => setKilling({ worker: row.name, job: job.id })} />`)}</span>`],
      ["Done", (row) => html`<span class="num">${row.finished}</span>${row.failed ? html` <span class="muted">${row.failed} failed</span>` : null}`, { right: true }],
      ["Since", (row) => html`<${Time} at=${row.started_at} />`],
      ["", (row) => html`<${Button} small write role="operator" onClick=${() => setStopping(row)} aria-label=${`Stop worker ${row.name}`}>Stop …<//>`, { class: "actions" }],
    ]} />` : html`<${Empty}>No worker is alive. <code>flowq worker</code> starts one.<//>`}
    ${stopping ? html`<${Confirm} title="Stop the worker?" action="Stop" kind="danger" onClose=${() => setStopping(null)} run=${() => post(`/workers/${segment(stopping.name)}/stop`).then(reload)}>
      <p>It finishes the jobs that it runs and takes no others. A parent such as <code>flowq serve</code> starts another one in its place.</p><//>` : null}
    ${killing ? html`<${Confirm} title=${`Kill ${killing.job}?`} action="Kill" kind="danger" onClose=${() => setKilling(null)} run=${() => post(`/workers/${segment(killing.worker)}/jobs/${segment(killing.job)}/kill`).then(reload)}>
      <p>Its processes get SIGTERM, and SIGKILL when they do not end in time. It is not retried.</p><//>` : null}`;
}

function WorkersJob({ job, now, kill }) {
  const took = formatDuration(secondsBetween(job.started_at, null, now));
  return html`<span class="chip">${job.run ? html`<${Link} to=${runPath(job.run)} search=${{ job: job.ordinal }}>${job.flow} ${job.id}<//>` : job.id} ${job.error ?? took}</span> <${Button} small write role="operator" kind="danger" onClick=${kill} aria-label=${`Kill ${job.id}`}>Kill …<//> `;
}
