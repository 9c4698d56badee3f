// Schedules: what comes next as a strip, and what can be done about each.
import { get, post, segment } from "../api.js";
import { useDocument } from "../data.js";
import { html, useEffect, useMemo, useState } from "../html.js";
import { useTopic } from "../live.js";
import { Action, Button, Card, Confirm, Empty, Field, Table, Waiting, may, plural, say } from "../parts.js";
import { Link, runPath, setSearch, usePlace } from "../router.js";
import { useObservable } from "../store.js";
import { Time, formatDay, formatHour, isoAfter, timeMode, zoneName, zoneOf } from "../time.js";
import { Backfill, Backfills } from "./backfill.js";
import { Badge, Paused, Status, look } from "../status.js";

const DAY = 86400000;
const schedulePath = (id) => `/schedules/${segment(id)}`;

export function SchedulesPage() {
  const { search } = usePlace();
  const { data, error, reload } = useDocument("/schedules", { topic: "schedules", pause: 500, all: true });
  const [asking, setAsking] = useState(null); // { what, row }
  const [started, setStarted] = useState(0); // backfills from here
  if (!data) return html`<div class="pagehead"><h1>Schedules</h1></div><${Waiting} error=${error} />`;
  const rows = data.items.filter((row) => !row.gone);
  const chosen = rows.find((row) => row.id === search.schedule);
  const close = () => setAsking(null);
  return html`<div class="pagehead"><h1>Schedules</h1><span class="sub">${plural(rows.length, "schedule")}</span></div>
    ${!rows.length ? html`<${Empty}>No flow of the directory has a schedule: <code>schedule:</code> in a flow file makes one.<//>` : html`<div class="stack">
      <${Strip} rows=${rows.filter((row) => !row.events)} week=${search.span === "7d"} />
      <${Table} caption="Schedules" rows=${rows} rowKey=${(row) => row.id} columns=${[
        ["Schedule", (row) => html`<button type="button" class="linkbutton" aria-expanded=${row === chosen} onClick=${() => setSearch({ schedule: row === chosen ? null : row.id })}>${row.id}</button>${row.problem ? html` <${Badge} tone="bad" mark="✖">refused<//>` : null}`, { main: true }],
        ["When", (row) => html`<code>${row.when}</code>`],
        ["Next", (row) => (row.paused ? html`<${Paused} />` : html`<${Time} at=${row.next} zone=${row.timezone} slot />`)],
        ["Last", (row) => (row.last ? html`<${Outcome} item=${row.last} zone=${row.timezone} />` : null)],
        ["Open", (row) => (row.open.length ? html`<span class="chips">${row.open.slice(0, 3).map((id) => html`<${Link} key=${id} class="mono" to=${runPath(id)}>${id}<//>`)}${row.open.length > 3 ? html`<span class="muted">+${row.open.length - 3}</span>` : null}</span>` : null)],
        ["Backlog", (row) => (row.backlog ? html`<span class="num">${row.backlog}</span>` : null), { right: true }],
        ["", (row) => html`<${Actions} row=${row} reload=${reload} ask=${(what) => setAsking({ what, row })} />`, { class: "actions" }],
      ]} />
      ${chosen ? html`<${Details} key=${chosen.id} row=${chosen} />` : null}
      <${Backfills} started=${started} />
    </div>`}
    ${asking?.what === "pause" ? html`<${Pause} row=${asking.row} onClose=${close} reload=${reload} />` : null}
    ${asking?.what === "skip" ? html`<${Confirm} title="Skip the backlog?" action="Skip" onClose=${close} run=${() => post(`${schedulePath(asking.row.id)}/skip`).then(reload)}><p>${asking.row.backlog} missed slots of ${asking.row.id} are left out; the next one is not touched.</p><//>` : null}
    ${asking?.what === "backfill" ? html`<${Backfill} row=${asking.row} onClose=${close} done=${() => setStarted(started + 1)} />` : null}`;
}

function Actions({ row, reload, ask }) {
  const trigger = async () => {
    const run = await post(`${schedulePath(row.id)}/trigger`);
    say(`Started run ${run.id}`);
    reload();
  };
  if (!may("operator")) return null;
  return html`${row.paused ? (row.paused_by_file && !row.pause ? null : html`<${Action} small run=${() => post(`${schedulePath(row.id)}/resume`).then(reload)} aria-label=${`Resume ${row.id}`}>Resume<//>`) : html`<${Button} small write onClick=${() => ask("pause")} aria-label=${`Pause ${row.id}`}>Pause …<//>`}
    ${row.events ? null : html`<${Action} small run=${trigger} aria-label=${`Trigger ${row.id}`}>Trigger<//>`}
    ${row.backlog ? html`<${Button} small write onClick=${() => ask("skip")} aria-label=${`Skip the backlog of ${row.id}`}>Skip …<//>` : null}
    ${row.events ? null : html`<${Button} small write onClick=${() => ask("backfill")} aria-label=${`Backfill ${row.id}`}>Backfill …<//>`}`;
}

const OUTCOMES = { run: ["✔", "good"], skipped: ["↷", "idle"], left_out: ["↷", "idle"], refused: ["✖", "bad"], waiting: ["◷", "wait"] };

function Outcome({ item, zone }) {
  const seen = item.status ? look(item.status) : null;
  const [mark, tone] = seen ? [seen.mark, seen.tone] : OUTCOMES[item.outcome] ?? ["·", "idle"];
  const text = seen ? seen.word : item.outcome.replaceAll("_", " ");
  return html`<span class=${`status is-${tone} status-small`}><span class="mark" aria-hidden="true">${mark}</span>${item.run ? html`<${Link} to=${runPath(item.run)}>${text}<//>` : text}</span> <${Time} at=${item.slot ?? item.at} zone=${zone} slot=${Boolean(item.slot)} />`;
}

function Details({ row }) {
  const history = useDocument(`${schedulePath(row.id)}/history`, { topic: "schedules" });
  return html`<${Card} title=${row.id} tools=${row.file ? html`<span class="muted mono small wraps">${row.file}</span>` : null}><div class="body stack">
    ${row.problem ? html`<p class="note note-bad wraps">${row.problem}</p>` : null}
    ${row.pause ? html`<p class="note note-wait wraps">Paused by ${row.pause.by}${row.pause.note ? `: ${row.pause.note}` : ""} <${Time} at=${row.pause.at} />${row.pause.until ? html`, until <${Time} at=${row.pause.until} />` : null}</p>` : null}
    ${!history.data ? html`<${Waiting} error=${history.error} />` : history.data.items.length ? html`<${Table} caption=${`What became of its ${row.events ? "events" : "slots"}, latest first`} rows=${history.data.items} rowKey=${(item) => `${item.slot} ${item.at} ${item.outcome}`} columns=${[
      [row.events ? "Event" : "Slot", (item) => html`<${Time} at=${item.slot} zone=${row.timezone} slot />`, { main: true }],
      ["Outcome", (item) => html`<${Badge} tone=${(OUTCOMES[item.outcome] ?? ["", "idle"])[1]} mark=${(OUTCOMES[item.outcome] ?? ["·"])[0]}>${item.outcome.replaceAll("_", " ")}<//>${item.count > 1 ? html` <span class="muted">${item.count} slots</span>` : null}`],
      ["Run", (item) => (item.run ? html`<${Link} class="mono" to=${runPath(item.run)}>${item.run}<//>${item.status ? html` <${Status} status=${item.status} small />` : null}` : null)],
      ["Why", (item) => html`<span class="wraps">${item.text}</span>`],
      ["Decided", (item) => html`<${Time} at=${item.at} zone=${row.timezone} />`],
    ]} />` : html`<${Empty}>No ${row.events ? "event" : "slot"} has come yet.<//>`}</div><//>`;
}

function Pause({ row, onClose, reload }) {
  const [note, setNote] = useState("");
  return html`<${Confirm} title=${`Pause ${row.id}`} action="Pause" onClose=${onClose} run=${() => post(`${schedulePath(row.id)}/pause`, { note }).then(reload)}>
    <${Field} title="Why" note="shown to everyone"><input class="input" maxlength="500" value=${note} onInput=${(event) => setNote(event.target.value)} /><//>
    <p class="muted small">Its slots are left out until it is resumed. Runs in progress go on.</p><//>`;
}

// The next 24 hours, or 7 days: a mark for each slot, a lane for each schedule.
function Strip({ rows, week }) {
  const span = week ? 7 * DAY : DAY;
  const [slots, setSlots] = useState(new Map());
  const [now, setNow] = useState(Date.now());
  const mode = useObservable(timeMode);
  const ids = rows.filter((row) => !row.paused && row.next).map((row) => row.id).join("\n");
  const load = async () => {
    setNow(Date.now());
    const until = isoAfter(span);
    const found = await Promise.all(ids.split("\n").filter(Boolean).slice(0, 60).map(async (id) => [id, await get(`${schedulePath(id)}/next`, { n: 100, until }).catch(() => ({ items: [], more: 0 }))]));
    setSlots(new Map(found));
  };
  useEffect(() => { load(); const timer = setInterval(load, 60000); return () => clearInterval(timer); }, [ids, span]);
  useTopic("schedules", () => setNow(Date.now()), []);
  const zone = zoneOf(mode, rows[0]?.timezone);
  const marks = useMemo(() => Array.from({ length: 9 }, (_, index) => now + (span * index) / 8), [now, span]);
  const moment = (item) => Date.parse(item.slot);
  return html`<${Card} title=${week ? "The next 7 days" : "The next 24 hours"} tools=${html`<span class="muted small">${zoneName(zone)}</span><${Button} small onClick=${() => setSearch({ span: week ? null : "7d" })}>${week ? "24 hours" : "7 days"}<//>`}>
    <div class="strip" role="region" aria-label="Coming slots" tabindex="0"><div class="strip-in">
      <div class="strip-axis" aria-hidden="true">${marks.slice(0, -1).map((at, index) => html`<span key=${at} style=${{ left: `${(100 * index) / 8}%` }}>${week ? formatDay(at, zone) : formatHour(at, zone)}</span>`)}</div>
      <ul>${rows.map((row) => { const known = slots.get(row.id); const more = known?.more ? `and ${known.more}${known.more < 2000 ? "" : " or more"} later` : ""; const coming = (known?.items ?? []).map(moment).filter((at) => at - now < span && at >= now - 60000); return html`<li key=${row.id} class="strip-row"><span class="strip-name mono" title=${row.id}>${row.id}</span>
        <span class="strip-lane"><span class="sr">${row.paused ? "paused" : `${plural(coming.length, "slot")} ${more}`}</span>${row.paused ? html`<span class="muted small" aria-hidden="true">paused</span>` : coming.map((at) => html`<i key=${at} class="slot" style=${{ left: `${(100 * (at - now)) / span}%` }} title=${`${row.id}: ${formatDay(at, row.timezone)} ${formatHour(at, row.timezone)} ${row.timezone}`}></i>`)}${more && coming.length ? html`<span class="slots-more muted small" aria-hidden="true" style=${{ left: `calc(${(100 * (coming.at(-1) - now)) / span}% + 8px)` }}>${more}</span>` : null}</span></li>`; })}</ul>
    </div></div><//>`;
}
