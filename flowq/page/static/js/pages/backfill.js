// Runs of past slots: first a list of what would run, then progress.
import { post, segment } from "../api.js";
import { useDocument } from "../data.js";
import { html, useEffect, useState } from "../html.js";
import { Action, Button, Card, Dialog, Field, Table, plural, say } from "../parts.js";
import { Time } from "../time.js";

const OPEN = new Set(["running", "paused"]);

export function Backfill({ row, onClose, done }) {
  const [form, setForm] = useState({ from: "", to: "", max_open: "1" });
  const [plan, setPlan] = useState(null);
  const path = `/schedules/${segment(row.id)}/backfill`;
  const body = (dry) => ({ from: form.from, to: form.to, max_open: Number(form.max_open) || 1, dry_run: dry });
  const field = (name, title, type, more = {}) => html`<${Field} title=${title}><input class="input" type=${type} value=${form[name]} onInput=${(event) => { setForm({ ...form, [name]: event.target.value }); setPlan(null); }} ...${more} /><//>`;
  const preview = async () => setPlan(await post(path, body(true)));
  const start = async () => {
    await post(path, body(false));
    say(`Backfill of ${row.id} has begun`);
    onClose();
    done();
  };
  const slots = (plan?.slots ?? []).filter((slot) => slot.runs);
  const count = plan?.runs ?? 0;
  const left = (plan?.slots.length ?? 0) - count;
  return html`<${Dialog} title=${`Backfill ${row.id}`} onClose=${onClose} footer=${html`<${Button} onClick=${onClose}>Back<//>
      <${Action} run=${preview} disabled=${!form.from || !form.to}>Show the slots<//><${Action} kind="main" run=${start} disabled=${!plan || !count}>Start ${plan ? `${count} ` : ""}runs<//>`}>
    ${field("from", `From (${row.timezone})`, "date")}${field("to", "Up to, not including", "date")}${field("max_open", "Runs at once", "number", { min: 1, max: 100 })}
    ${plan ? html`<p class="field" role="status">${plural(count, "slot")} would run${left ? `; ${left} have a run already` : ""}.</p>
      <ul class="scrolllist">${slots.slice(0, 200).map((slot) => html`<li key=${slot.slot}><${Time} at=${slot.slot} zone=${row.timezone} slot /></li>`)}</ul>` : html`<p class="field hint">Slots that have a run are left out. Runs of the schedule itself come first.</p>`}<//>`;
}

// They have no messages of their own: the list is read again when one was started, and every few seconds while one goes on.
export function Backfills({ started }) {
  const { data, reload } = useDocument("/backfills", { all: true });
  const items = data?.items ?? [];
  const going = items.some((item) => OPEN.has(item.state));
  useEffect(() => { if (started) reload(); }, [started]);
  useEffect(() => {
    if (!going) return undefined;
    const timer = setInterval(reload, 3000);
    return () => clearInterval(timer);
  }, [going, reload]);
  if (!items.length) return null;
  const change = (item, what) => () => post(`/backfills/${segment(item.id)}/${what}`).then(reload);
  return html`<${Card} title="Backfills" count=${items.length}><${Table} caption="Backfills" rows=${items} rowKey=${(item) => item.id} columns=${[
    ["Backfill", (item) => html`<span class="mono">${item.id}</span> <span class="muted">${item.schedule}</span>`, { main: true }],
    ["State", (item) => html`<span class=${`status is-${{ running: "busy", paused: "wait", done: "good", canceled: "wait" }[item.state] ?? "idle"}`}>${item.state}</span>${item.reason ? html` <span class="muted wraps">${item.reason}</span>` : null}`],
    ["Range", (item) => html`<${Time} at=${item.from} /> – <${Time} at=${item.to} />`],
    ["Runs", (item) => html`<span class="num">${item.created}</span> <span class="muted">${item.open} open${item.left_out ? `, ${item.left_out} left out` : ""}</span>`],
    ["", (item) => (OPEN.has(item.state) ? html`<${Action} small run=${change(item, item.state === "paused" ? "resume" : "pause")} aria-label=${`${item.state === "paused" ? "Resume" : "Pause"} backfill ${item.id}`}>${item.state === "paused" ? "Resume" : "Pause"}<//><${Action} small kind="danger" run=${change(item, "cancel")} aria-label=${`Cancel backfill ${item.id}`}>Cancel<//>` : null), { class: "actions" }],
  ]} /><//>`;
}
