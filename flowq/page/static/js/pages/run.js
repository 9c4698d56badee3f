// One run: its head with what can be done to it, and tabs.
import { post, remove, segment } from "../api.js";
import { useNow } from "../data.js";
import { html, useEffect, useRef, useState } from "../html.js";
import { Later, lazily } from "../lazy.js";
import { Button, Chips, Confirm, Copy, Dialog, Tabs, Waiting, plural, say } from "../parts.js";
import { Link, navigate, runPath, setSearch, usePlace } from "../router.js";
import { useRun } from "../run_model.js";
import { ENDED, JobsBar, Status, countsText, look, neededCounts } from "../status.js";
import { Time, Took, secondsBetween } from "../time.js";
import { Retry } from "./retry.js";

const TABS = [
  ["graph", "Graph", lazily(() => import("./graph.js"), "GraphTab")],
  ["jobs", "Jobs", lazily(() => import("./jobs.js"), "JobsTab")],
  ["timeline", "Timeline", lazily(() => import("./timeline.js"), "TimelineTab")],
  ["logs", "Logs", lazily(() => import("./logs.js"), "LogsTab")],
  ["artifacts", "Artifacts", lazily(() => import("./artifacts.js"), "ArtifactsTab")],
  ["events", "Events", lazily(() => import("./run_texts.js"), "EventsTab")],
  ["yaml", "YAML", lazily(() => import("./run_texts.js"), "SourceTab")],
];
const drawer = lazily(() => import("./job.js"), "JobDrawer");

export function RunPage({ args: [id, tab = "graph"] }) {
  const model = useRun(id);
  const { run, jobs, error, reload } = model;
  const { search } = usePlace();
  if (!run) return html`<div class="pagehead"><h1>Run <span class="mono">${id}</span></h1></div><${Waiting} error=${error} what=${`Run ${id}`} />
    ${error?.status === 404 ? html`<p class="empty">It was deleted, or its time was over. <${Link} to="/runs">The list of runs<//></p>` : null}`;
  const load = TABS.find(([name]) => name === tab)[2];
  const openJob = (ordinal, more = {}) => setSearch({ job: ordinal, ...more }, { replace: search.job !== undefined });
  const job = search.job === undefined || !jobs ? null : jobs.byOrdinal.get(Number(search.job)) ?? jobs.rows.find((row) => row.name === search.job) ?? null;
  return html`<${Head} run=${run} reload=${reload} />
    <${Tabs} label="Views of the run" views=${TABS.map(([name, title]) => [name, name === "jobs" ? html`${title}<span class="count tabcount">${run.size}</span>` : title])} current=${tab} to=${(name) => ({ to: runPath(id, name) })} />
    <${Later} load=${load} key=${`${tab} ${run.attempt}`} run=${run} jobs=${jobs} version=${model.version} openJob=${openJob} chosen=${job?.ordinal ?? null} />
    ${job ? html`<${Later} load=${drawer} key=${job.ordinal} run=${run} row=${job} reload=${reload} />` : null}
    <${Announcer} status=${run.status} />`;
}

// Tells a screen reader when the run in view has ended, and nothing else.
function Announcer({ status }) {
  const [text, setText] = useState("");
  const before = useRef(status);
  useEffect(() => {
    if (before.current !== status && ENDED.has(status)) setText(`The run has ended: ${look(status).word}`);
    before.current = status;
  }, [status]);
  return html`<div class="sr" role="status" aria-live="polite">${text}</div>`;
}

function Head({ run, reload }) {
  const running = !ENDED.has(run.status);
  const now = useNow(running);
  const took = secondsBetween(run.started_at, run.ended_at, now);
  const facts = [
    ["Started", html`<${Time} at=${run.started_at ?? run.created_at} zone=${run.timezone} />`],
    [running ? "For" : "Took", html`<${Took} seconds=${took} />`],
    running && run.expected_end ? ["Expected end", html`<${Time} at=${run.expected_end} />`] : null,
    run.scheduled_at ? ["Slot", html`<${Time} at=${run.scheduled_at} zone=${run.timezone} slot />`] : null,
    ["Cause", html`${run.cause ?? "–"}${run.by ? html` <span class="muted">by ${run.by}</span>` : null}`],
    run.attempt > 1 ? ["Attempt", html`<span class="num">${run.attempt}</span>`] : null,
    run.turned_away_by ? ["Turned away by", html`<${Link} to=${runPath(run.turned_away_by)}>${run.turned_away_by}<//>`] : null,
  ].filter(Boolean);
  return html`<div class="runhead">
    <div class="pagehead"><h1>${run.flow}</h1><span class="mono muted">${run.id}</span><${Status} status=${run.status} orphaned=${run.orphaned} canceling=${run.canceling} />
      <span class="grow"></span><${RunActions} run=${run} running=${running} reload=${reload} /></div>
    <dl class="facts">${facts.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}<div><dt>Jobs</dt><dd><${JobsBar} run=${run} size=${run.size} /> <span class="muted small">${countsText(neededCounts(run))}</span></dd></div></dl>
    ${Object.keys(run.params ?? {}).length || Object.keys(run.labels ?? {}).length ? html`<p class="runparams"><span class="muted small">Params</span> <${Chips} values=${run.params} />${Object.keys(run.labels ?? {}).length ? html` <span class="muted small">Labels</span> <${Chips} values=${run.labels} />` : null}</p>` : null}
    ${run.orphaned ? html`<p class="note note-wait">No worker executes this run: start one, or continue it with its command.</p>` : null}
    ${run.changed_files?.length ? html`<p class="note">Its flow file was changed since it began; the run keeps the stored text.</p>` : null}
    ${(run.damaged ?? []).map((job) => html`<p key=${job.ordinal} class="note note-bad">Of the job ${job.job} not all is shown: ${job.error}</p>`)}
  </div>`;
}

function RunActions({ run, running, reload }) {
  const [open, setOpen] = useState(null);
  const close = () => setOpen(null);
  const path = runPath(run.id);
  const failed = (run.counts.failed ?? 0) + (run.counts.stopped ?? 0) + (run.counts.canceled ?? 0);
  return html`<span class="buttons">
    ${!running && failed && run.status !== "skipped" ? html`<${Button} write role="operator" kind="main" onClick=${() => setOpen("retry")}>Retry failed …<//>` : null}
    ${running ? html`<${Button} write role="operator" kind="danger" onClick=${() => setOpen("cancel")}>Cancel …<//>` : null}
    ${run.catalog_flow ? html`<${Button} write role="operator" onClick=${() => navigate(`/flows/${segment(run.catalog_flow)}/launch`, { search: { again: run.id } })}>Run again …<//>` : null}
    <${Button} onClick=${() => setOpen("commands")}>Commands<//>
    ${running ? null : html`<${Button} write role="admin" kind="danger" onClick=${() => setOpen("delete")}>Delete …<//>`}
    ${open === "retry" ? html`<${Retry} run=${run} onClose=${close} reload=${reload} />` : null}
    ${open === "cancel" ? html`<${Confirm} title="Cancel the run?" action="Cancel the run" kind="danger" onClose=${close} run=${() => post(`${path}/cancel`).then(reload)}>
      <p>Running jobs are asked to stop; jobs that have not begun are canceled.</p><//>` : null}
    ${open === "delete" ? html`<${Confirm} title="Delete the run?" action="Delete the run" kind="danger" role="admin" onClose=${close} run=${async () => { await remove(path); say(`Run ${run.id} deleted`); navigate("/runs"); }}>
      <p>Its ${plural(run.size, "job")}, with results and logs, will be gone. This cannot be taken back.</p><//>` : null}
    ${open === "commands" ? html`<${Commands} run=${run} onClose=${close} />` : null}
  </span>`;
}

function Commands({ run, onClose }) {
  const commands = Object.values({ status: `flowq status ${run.id}`, logs: `flowq logs ${run.id}`, ...run.command });
  return html`<${Dialog} title="The same in a terminal" onClose=${onClose}><div class="stack">${commands.map((text) => html`<${Copy} key=${text} text=${text} />`)}</div><//>`;
}
