// The list of runs: filters in the address, new ones behind a pill, so that nothing moves under the pointer.
import { get, post, query, remove } from "../api.js";
import { useDocument, useNow } from "../data.js";
import { html, useEffect, useMemo, useRef, useState } from "../html.js";
import { useTopic } from "../live.js";
import { Button, Chips, Confirm, Empty, Table, Waiting, may, plural, say } from "../parts.js";
import { runPath, setSearch, usePlace } from "../router.js";
import { ENDED } from "../status.js";
import { Time } from "../time.js";
import { column } from "../run_columns.js";

const STATUSES = ["running", "queued", "finished", "failed", "canceled", "skipped"];
const CAUSES = ["cli", "api", "schedule", "backfill", "webhook", "file", "flow"];
const KEYS = ["q", "flow", "status", "label", "cause", "since"];
const LIMIT = 50;

export function RunsPage() {
  const { search } = usePlace();
  const filter = Object.fromEntries(KEYS.map((key) => [key, search[key] ?? ""]));
  const anyFilter = KEYS.some((key) => filter[key]);
  const path = `/runs${query({ ...filter, limit: LIMIT })}`;
  const { data, error, reload } = useDocument(path);
  const [more, setMore] = useState({ path: null, items: [], next: null });
  const [fresh, setFresh] = useState(new Map()); // summaries that came by the stream
  const [picked, setPicked] = useState(new Set());
  const [asking, setAsking] = useState(null);

  useEffect(() => { setFresh(new Map()); setPicked(new Set()); setMore({ path: null, items: [], next: null }); }, [path]);
  useTopic("runs", (message) => {
    const add = (runs) => setFresh((before) => new Map([...before, ...runs.map((run) => [run.id, run])]));
    if (message.run) add([message.run]);
    else if (anyFilter) reload();
    else get(path).then((page) => add(page.items), () => null); // new ones wait behind the pill, as those of the stream
  }, [reload, anyFilter]);

  const items = useMemo(() => [...(data?.items ?? []), ...(more.path === path ? more.items : [])].map((run) => ({ ...run, ...fresh.get(run.id) })), [data, more, fresh, path]);
  const known = new Set(items.map((run) => run.id));
  const unseen = data && !anyFilter ? [...fresh.keys()].filter((id) => !known.has(id)).length : 0;
  const now = useNow(items.some((run) => !ENDED.has(run.status)));
  const next = more.path === path ? more.next : data?.next;

  const showNew = () => { setFresh(new Map()); reload(); };
  const loadMore = async () => {
    const page = await get("/runs", { ...filter, limit: LIMIT, cursor: next });
    setMore((before) => ({ path, items: [...(before.path === path ? before.items : []), ...page.items], next: page.next }));
  };
  const pick = (id) => setPicked((before) => {
    const after = new Set(before);
    if (!after.delete(id)) after.add(id);
    return after;
  });
  const all = items.length > 0 && items.every((run) => picked.has(run.id));
  const columns = [
    ["pick", (run) => html`<label><input type="checkbox" checked=${picked.has(run.id)} onChange=${() => pick(run.id)} aria-label=${`Select run ${run.id}`} /></label>`,
      { pick: true, class: "pick", head: html`<input type="checkbox" checked=${all} onChange=${() => setPicked(all ? new Set() : new Set(items.map((run) => run.id)))} aria-label="Select all runs shown" />` }],
    column("Run"), column("Status"), column("Jobs"),
    ["Cause", (run) => html`<${Cause} run=${run} />`],
    column("Params"),
    ["Labels", (run) => html`<${Chips} values=${run.labels} />`],
    column("Started"), column("Took", now),
  ];
  return html`<div class="pagehead"><h1>Runs</h1><span class="grow"></span>
      ${picked.size && may("operator") ? html`<span class="buttons"><span class="muted">${picked.size} selected</span>
        <${Button} write onClick=${() => setAsking("cancel")}>Cancel …<//><${Button} write role="admin" kind="danger" onClick=${() => setAsking("delete")}>Delete …<//></span>` : null}</div>
    <${Filters} filter=${filter} />
    ${unseen ? html`<${Button} kind="main" small class="pill button button-small" onClick=${showNew}>${unseen} new<//>` : null}
    ${(data?.damaged ?? []).map((run) => html`<p key=${run.id} class="note note-bad">Run ${run.id} is not shown: ${run.error}</p>`)}
    ${!data ? html`<${Waiting} error=${error} />` : items.length ? html`
      <${Table} caption="Runs, latest first" columns=${may("operator") ? columns : columns.slice(1)} rows=${items} rowKey=${(run) => run.id} />
      ${next ? html`<p class="empty"><${Button} onClick=${loadMore}>Older runs<//></p>` : null}` : html`
      <${Empty}>${anyFilter ? html`No run fits this filter. <button class="linkbutton" type="button" onClick=${() => setSearch(Object.fromEntries(KEYS.map((key) => [key, null])))}>Show all<//>` : "There are no runs yet."}<//>`}
    ${asking ? html`<${Bulk} what=${asking} ids=${[...picked]} onClose=${() => setAsking(null)} done=${() => { setPicked(new Set()); reload(); }} />` : null}`;
}

const Cause = ({ run }) => html`<span class="wraps">${run.cause ?? ""}${run.by ? html` <span class="muted">by ${run.by}</span>` : null}${run.scheduled_at ? html` <${Time} at=${run.scheduled_at} slot zone=${run.timezone} />` : null}</span>`;

function Filters({ filter }) {
  const [text, setText] = useState({ q: filter.q, flow: filter.flow, label: filter.label });
  const timer = useRef(0);
  useEffect(() => () => clearTimeout(timer.current), []);
  useEffect(() => setText({ q: filter.q, flow: filter.flow, label: filter.label }), [filter.q, filter.flow, filter.label]);
  const type = (key) => (event) => {
    const typed = { ...text, [key]: event.target.value };
    setText(typed);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => setSearch({ q: typed.q || null, flow: typed.flow || null, label: typed.label || null }), 250);
  };
  const choose = (key) => (event) => setSearch({ [key]: event.target.value || null }, { replace: false });
  const select = (key, name, values, words = {}) => html`<label>${name}<select class="input" value=${filter[key]} onChange=${choose(key)}><option value="">any</option>${values.map((value) => html`<option value=${value} selected=${filter[key] === value}>${words[value] ?? value}</option>`)}</select></label>`;
  return html`<div class="filters" role="search" aria-label="Filter of runs">
    <label>Run id<input class="input mono" type="search" data-search value=${text.q} onInput=${type("q")} placeholder="begins with …" /></label>
    <label>Flow<input class="input" type="search" value=${text.flow} onInput=${type("flow")} placeholder="its name" /></label>
    ${select("status", "Status", STATUSES)}
    ${select("cause", "Cause", CAUSES)}
    <label>Label<input class="input mono" type="search" value=${text.label} onInput=${type("label")} placeholder="key=value" /></label>
    ${select("since", "Started", ["1h", "24h", "7d", "30d"], { "1h": "in the last hour", "24h": "in 24 hours", "7d": "in 7 days", "30d": "in 30 days" })}
  </div>`;
}

function Bulk({ what, ids, onClose, done }) {
  const deletes = what === "delete";
  const count = plural(ids.length, "run");
  const run = async () => {
    const results = await Promise.allSettled(ids.map((id) => (deletes ? remove(runPath(id)) : post(`${runPath(id)}/cancel`))));
    const failed = results.filter((result) => result.status === "rejected");
    if (failed.length) say(`${failed.length} of ${ids.length}: ${failed[0].reason.message}`, { bad: true });
    else say(`${count} ${deletes ? "deleted" : "canceled"}`);
    done();
  };
  return html`<${Confirm} title=${`${deletes ? "Delete" : "Cancel"} ${count}?`} action=${`${deletes ? "Delete" : "Cancel"} ${count}`} kind="danger" role=${deletes ? "admin" : "operator"} run=${run} onClose=${onClose}>
    <p>${deletes ? "Their jobs, results and logs are deleted with them. This cannot be taken back." : "Running jobs are stopped; jobs that have not begun are canceled. Runs that have ended stay as they are."}</p>
    <p class="mono muted wraps">${ids.slice(0, 20).join(" ")}${ids.length > 20 ? ` and ${ids.length - 20} more` : ""}</p><//>`;
}
