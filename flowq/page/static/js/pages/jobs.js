// The table of a run's jobs: only the rows in view are drawn, sorting and filtering happen here, on all of them.
import { useNow } from "../data.js";
import { html, useEffect, useMemo, useRef, useState } from "../html.js";
import { Empty, Waiting, plural } from "../parts.js";
import { setSearch, usePlace } from "../router.js";
import { ENDED, Status, look, reasonText } from "../status.js";
import { Time, Took, secondsBetween } from "../time.js";

const OVER = 8; // rows drawn above and below
const IMPORTANCE = ["failed", "stopped", "started", "queued", "scheduled", "rate_limited", "deferred", "canceled", "finished", "skipped"];
const COLUMNS = [["name", "Job"], ["status", "Status"], ["why", "Why"], ["attempts", "Attempts"], ["worker", "Worker"], ["started_at", "Started"], ["duration", "Took"]];

const KEY = {
  name: (row) => row.ordinal,
  status: (row) => IMPORTANCE.indexOf(row.status),
  why: (row) => reasonText(row.reason),
  attempts: (row) => row.attempts ?? 0,
  worker: (row) => row.worker ?? "",
  started_at: (row) => row.started_at ?? "9",
  duration: (row) => row.duration ?? -1,
};

function sorted(rows, sort, down) {
  const key = KEY[sort] ?? KEY.name;
  return [...rows].sort((a, b) => {
    const [x, y] = [key(a), key(b)];
    return ((x < y ? -1 : x > y ? 1 : 0) || a.ordinal - b.ordinal) * (down ? -1 : 1);
  });
}

export function JobsTab({ run, jobs, version, openJob, chosen }) {
  const { search } = usePlace();
  const [text, setText] = useState(search.find ?? "");
  const wanted = search.show ?? "";
  const sort = search.sort ?? "name";
  const down = search.order === "down";
  const now = useNow(!ENDED.has(run.status));
  const words = useMemo(() => [...new Set((jobs?.rows ?? []).map((row) => look(row.status, row).word))].sort(), [jobs, version]);
  const rows = useMemo(() => {
    const find = text.toLowerCase();
    const fits = (row) => (!find || row.name.toLowerCase().includes(find)) && (!wanted || look(row.status, row).word === wanted);
    return jobs ? sorted(jobs.rows.filter(fits), sort, down) : [];
  }, [jobs, version, text, wanted, sort, down]);
  if (!jobs) return html`<${Waiting} />`;
  const by = (name) => setSearch({ sort: name === "name" ? null : name, order: sort === name && !down ? "down" : null });
  return html`<div class="filters" role="search" aria-label="Filter of jobs">
      <label>Job<input class="input" type="search" data-search value=${text} onInput=${(event) => { setText(event.target.value); setSearch({ find: event.target.value || null }); }} placeholder="part of its name" /></label>
      <label>Status<select class="input" value=${wanted} onChange=${(event) => setSearch({ show: event.target.value || null })}><option value="">any</option>${words.map((word) => html`<option value=${word} selected=${word === wanted}>${word}</option>`)}</select></label>
      <span class="grow"></span><span class="count">${rows.length === jobs.rows.length ? plural(rows.length, "job") : `${rows.length} of ${jobs.rows.length} jobs`}</span>
    </div>
    ${rows.length ? html`<${Virtual} rows=${rows} sort=${sort} down=${down} by=${by} now=${now} openJob=${openJob} chosen=${chosen} />` : html`<${Empty}>No job fits.<//>`}`;
}

function Virtual({ rows, sort, down, by, now, openJob, chosen }) {
  const box = useRef(null);
  const body = useRef(null);
  const [view, setView] = useState({ top: 0, height: 700, row: 34 });
  useEffect(() => {
    const measure = () => {
      if (!box.current) return; // the page has been left
      const row = parseFloat(getComputedStyle(document.documentElement).getPropertyValue("--row")) || 34;
      setView({ top: box.current.scrollTop, height: box.current.clientHeight, row: matchMedia("(max-width: 640px)").matches ? 72 : row });
    };
    measure();
    const node = box.current;
    let frame = 0;
    const scroll = () => { frame ||= requestAnimationFrame(() => { frame = 0; measure(); }); };
    node.addEventListener("scroll", scroll, { passive: true });
    addEventListener("resize", measure);
    return () => { node.removeEventListener("scroll", scroll); removeEventListener("resize", measure); cancelAnimationFrame(frame); };
  }, []);
  const move = (step) => {
    const at = rows.findIndex((row) => row.ordinal === chosen);
    const next = Math.max(0, Math.min(rows.length - 1, at < 0 ? 0 : at + step));
    const node = box.current;
    if (next * view.row < node.scrollTop) node.scrollTop = next * view.row;
    else if ((next + 2) * view.row > node.scrollTop + node.clientHeight) node.scrollTop = (next + 2) * view.row - node.clientHeight;
    openJob(rows[next].ordinal);
  };
  useEffect(() => {
    const press = (event) => {
      if (event.target.closest("input, select, textarea, dialog") || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "j") move(1);
      else if (event.key === "k") move(-1);
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  });
  const first = Math.max(0, Math.floor(view.top / view.row) - OVER);
  const last = Math.min(rows.length, Math.ceil((view.top + view.height) / view.row) + OVER);
  return html`<div class="virtual" ref=${box} tabindex="0" role="region" aria-label="Jobs"><div class="vtable" role="table" aria-label="Jobs of the run" aria-rowcount=${rows.length + 1}>
    <div class="vhead" role="row" aria-rowindex="1">${COLUMNS.map(([name, title]) => html`<span key=${name} role="columnheader" class=${`v-${name}`} aria-sort=${sort === name ? (down ? "descending" : "ascending") : "none"}>
      <button type="button" onClick=${() => by(name)}>${title}<span aria-hidden="true">${sort === name ? (down ? " ↓" : " ↑") : ""}</span></button></span>`)}</div>
    <div role="rowgroup" ref=${body} class="vbody" style=${{ height: `${rows.length * view.row}px` }}>
      ${rows.slice(first, last).map((row, index) => html`<${Row} key=${row.ordinal} row=${row} index=${first + index} high=${view.row} now=${now} chosen=${row.ordinal === chosen} open=${openJob} />`)}
    </div></div></div>`;
}

function Row({ row, index, high, now, chosen, open }) {
  const took = row.status === "started" ? secondsBetween(row.started_at, null, now) : row.duration;
  return html`<div role="row" aria-rowindex=${index + 2} class=${`vrow${chosen ? " chosen" : ""}`} style=${{ transform: `translateY(${index * high}px)`, height: `${high}px` }} onClick=${() => open(row.ordinal)}>
    <span role="cell" class="v-name"><button type="button" class="linkbutton" title=${row.name} onClick=${(event) => { event.stopPropagation(); open(row.ordinal); }}>${row.name}</button></span>
    <span role="cell" class="v-status"><${Status} status=${row.status} allowed=${row.allowed} reason=${row.reason} /></span>
    <span role="cell" class="v-why muted" title=${reasonText(row.reason)}>${reasonText(row.reason)}</span>
    <span role="cell" class="v-attempts num">${row.attempts > 1 ? row.attempts : ""}</span>
    <span role="cell" class="v-worker mono muted" title=${row.worker ?? ""}>${row.worker ?? ""}</span>
    <span role="cell" class="v-started_at"><${Time} at=${row.started_at} empty="" /></span>
    <span role="cell" class="v-duration"><${Took} seconds=${took} empty="" /></span>
  </div>`;
}
