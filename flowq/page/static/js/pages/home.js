// What needs a person, and what runs.
import { post, segment } from "../api.js";
import { useDocument, useNow } from "../data.js";
import { html } from "../html.js";
import { Action, Card, Empty, Table, Waiting } from "../parts.js";
import { Link, runPath } from "../router.js";
import { Time } from "../time.js";
import { Decide } from "./decide.js";
import { column } from "../run_columns.js";

export function HomePage() {
  const { data, error, reload } = useDocument("/attention", { topic: "runs" });
  const now = useNow(Boolean(data?.running.length));
  if (!data) return html`<${Waiting} error=${error} />`;
  const { failed, approvals, refused, paused, running } = data;
  const deaf = data.queues_without_workers;
  const calm = !failed.length && !approvals.length && !refused.length && !paused.length && !deaf.length;
  return html`<div class="pagehead"><h1>${calm ? "Nothing needs you" : "What needs you"}</h1>${calm ? html`<span class="sub">No failed runs in 24 hours, no open approvals.</span>` : null}</div>
  <div class="stack">
    ${approvals.length ? html`<${Card} title="Waiting for a decision" count=${approvals.length}>
      <${Table} caption="Approvals" rows=${approvals} rowKey=${(row) => `${row.run} ${row.job}`} columns=${[
        ["Question", (row) => html`<span class="wraps">${row.message || row.job}</span>`, { main: true }],
        ["Job", (row) => html`<${Link} to=${runPath(row.run)} search=${{ job: row.ordinal }}>${row.job}<//> <span class="muted">of ${row.flow} <span class="mono">${row.run}</span></span>`],
        ["Since", (row) => html`<${Time} at=${row.since} />`],
        ["", (row) => html`<${Decide} run=${row.run} job=${row.ordinal} name=${row.job} message=${row.message} done=${reload} />`, { class: "actions" }],
      ]} /><//>` : null}
    ${failed.length ? html`<${Card} title="Failed in the last 24 hours" count=${failed.length}>
      <${Table} caption="Failed runs" rows=${failed} rowKey=${(row) => row.id} columns=${[
        column("Run"), column("Status"), column("Jobs"), column("Params"), column("Ended"), column("Took"),
      ]} /><//>` : null}
    ${refused.length ? html`<${Card} title="Refused slots" count=${refused.length}>
      <${Table} caption="Refused slots" rows=${refused} rowKey=${(row) => `${row.flow} ${row.schedule} ${row.slot}`} columns=${[
        ["Schedule", (row) => html`<${Link} to="/schedules" search=${{ schedule: row.schedule }}>${row.schedule}<//>`, { main: true }],
        ["Slot", (row) => html`<${Time} at=${row.slot} zone=${row.timezone} slot />`],
        ["Why", (row) => html`<span class="wraps">${row.text}</span>`],
      ]} /><//>` : null}
    ${deaf.length ? html`<${Card} title="Queues without a worker" count=${deaf.length}>
      <${Table} caption="Queues without a worker" rows=${deaf} rowKey=${(row) => row.queue} columns=${[
        ["Queue", (row) => html`<${Link} to="/queues">${row.queue}<//>`, { main: true }],
        ["Waiting jobs", (row) => html`<span class="num">${row.queued}</span>`, { right: true }],
      ]} /><//>` : null}
    ${paused.length ? html`<${Card} title="Paused schedules" count=${paused.length}>
      <${Table} caption="Paused schedules" rows=${paused} rowKey=${(row) => row.schedule} columns=${[
        ["Schedule", (row) => html`<${Link} to="/schedules" search=${{ schedule: row.schedule }}>${row.schedule}<//>`, { main: true }],
        ["Note", (row) => html`<span class="wraps">${row.by_file ? "by its file" : row.note}${row.by ? html` <span class="muted">by ${row.by}</span>` : null}</span>`],
        ["Until", (row) => html`<${Time} at=${row.until} empty=${row.by_file ? "" : "it is resumed"} />`],
        ["", (row) => (row.by_file ? null : html`<${Action} small run=${() => post(`/schedules/${segment(row.schedule)}/resume`).then(reload)}>Resume<//>`), { class: "actions" }],
      ]} /><//>` : null}
    <${Card} title="Running" count=${running.length}>
      ${running.length ? html`<${Table} caption="Running runs" rows=${running} rowKey=${(row) => row.id} columns=${[
        column("Run"), column("Status"), column("Jobs"), column("Started"), column("Took", now, "For"),
      ]} />` : html`<${Empty}>No run is in progress.<//>`}<//>
  </div>`;
}
