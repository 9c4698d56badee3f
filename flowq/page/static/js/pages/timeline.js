// Where the time went: what each job waited for and when it ran. Rows are drawn as they come into view; every label opens its job.
import { useDocument } from "../data.js";
import { html, useEffect, useMemo, useRef, useState } from "../html.js";
import { Button, Empty, Waiting } from "../parts.js";
import { runPath, setSearch, usePlace } from "../router.js";
import { ENDED, look } from "../status.js";
import { formatDuration } from "../time.js";

const HIGH = 26; // px of a row
const OVER = 10;
const WORDS = {
  execution: "running", worker: "queued, no free slot", delay: "delay", retry: "before another attempt", max_parallel: "max_parallel", concurrency: "concurrency group", rate_limit: "rate limit", approval: "approval",
};
const TONES = { execution: "busy", worker: "wait", delay: "idle", retry: "idle", max_parallel: "wait", concurrency: "wait", rate_limit: "wait", approval: "approval" };

export function TimelineTab({ run, openJob, chosen }) {
  const { search } = usePlace();
  const running = !ENDED.has(run.status);
  const { data, error, reload } = useDocument(`${runPath(run.id)}/timeline`, { topic: `run:${run.id}`, pause: 1500 });
  const read = useRef(Date.now());
  useEffect(() => { read.current = Date.now(); }, [data]);
  useEffect(() => {
    if (!running) return undefined;
    const timer = setInterval(reload, 5000);
    return () => clearInterval(timer);
  }, [running, reload]);
  if (!data) return html`<${Waiting} error=${error} />`;
  if (!data.bars.length) return html`<${Empty}>No job has begun yet.<//>`;
  return html`<${Chart} data=${data} lanes=${search.lanes === "worker"} openJob=${openJob} chosen=${chosen} />`;
}

function Chart({ data, lanes, openJob, chosen }) {
  const [zoom, setZoom] = useState(1);
  const [find, setFind] = useState("");
  const begin = Date.parse(data.begin);
  const now = Math.max(0, Date.parse(data.now) - begin);
  const end = useMemo(() => Math.max(1, ...data.bars.map((bar) => bar.phases.reduce((most, [, , to]) => Math.max(most, to ?? now), 0))), [data]);
  const bars = useMemo(() => data.bars.filter((bar) => !find || bar.name.toLowerCase().includes(find.toLowerCase())), [data, find]);
  const rows = useMemo(() => (lanes ? byWorker(bars) : bars.map((bar) => ({ key: bar.ordinal, label: bar.name, bars: [bar], whole: true }))), [bars, lanes]);
  const counts = useMemo(() => sums(data.bars, now), [data]);
  return html`<div class="filters"><label>Find<input class="input" type="search" data-search value=${find} onInput=${(event) => setFind(event.target.value)} placeholder="part of a name" /></label>
      <label class="check"><input type="checkbox" checked=${lanes} onChange=${() => setSearch({ lanes: lanes ? null : "worker" })} /> lanes by worker</label>
      <span class="legend">${["busy", "wait", "idle", "approval"].map((tone) => html`<span key=${tone}><i class=${`swatch bar-${tone}`} aria-hidden="true"></i>${{ busy: "running", wait: "waited for a slot", idle: "delay", approval: "approval" }[tone]}${counts[tone] ? html` <span class="muted">${formatDuration(counts[tone] / 1000)}</span>` : null}</span>`)}<span><i class="swatch swatch-critical" aria-hidden="true"></i>critical path</span></span>
      <span class="grow"></span><span class="buttons"><${Button} aria-label="Less of the time axis" onClick=${() => setZoom(Math.min(64, zoom * 2))}>+<//><${Button} aria-label="More of the time axis" onClick=${() => setZoom(Math.max(1, zoom / 2))}>−<//><${Button} onClick=${() => setZoom(1)}>All<//></span></div>
    <${Rows} rows=${rows} end=${end} now=${now} zoom=${zoom} openJob=${openJob} chosen=${chosen} lanes=${lanes} />`;
}

function byWorker(bars) {
  const lanes = new Map();
  for (const bar of bars) {
    const worker = bar.worker ?? "no worker";
    if (!lanes.has(worker)) lanes.set(worker, []);
    lanes.get(worker).push(bar);
  }
  return [...lanes].sort(([a], [b]) => (a < b ? -1 : 1)).flatMap(([worker, some]) => slots(some).map((slot, index) => ({ key: `${worker} ${index}`, label: index ? "" : worker, bars: slot, whole: false })));
}

// The slots of a worker, as far as one can tell: jobs that ran at once are below each other.
function slots(bars) {
  const found = [];
  const last = (bar) => bar.phases.at(-1);
  for (const bar of [...bars].sort((a, b) => last(a)[1] - last(b)[1])) {
    const free = found.find((slot) => (last(slot.at(-1))[2] ?? Infinity) <= last(bar)[1]);
    if (free) free.push(bar);
    else found.push([bar]);
  }
  return found;
}

function sums(bars, now) {
  const found = {};
  for (const bar of bars) for (const [kind, from, to] of bar.phases) found[TONES[kind]] = (found[TONES[kind]] ?? 0) + (to ?? now) - from;
  return found;
}

function ticks(end, count) {
  const wish = end / count;
  const steps = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 15000, 30000, 60000, 120000, 300000, 600000, 900000, 1800000, 3600000, 7200000, 14400000, 43200000, 86400000];
  const step = steps.find((value) => value >= wish) ?? Math.ceil(wish / 86400000) * 86400000;
  return Array.from({ length: Math.floor(end / step) + 1 }, (_, index) => index * step);
}

function Rows({ rows, end, now, zoom, openJob, chosen, lanes }) {
  const box = useRef(null);
  const [view, setView] = useState({ top: 0, height: 600 });
  const measure = () => {
    if (box.current) setView({ top: box.current.scrollTop, height: box.current.clientHeight }); // else the page has been left
  };
  useEffect(measure, [rows]);
  const from = Math.max(0, Math.floor(view.top / HIGH) - OVER);
  const to = Math.min(rows.length, Math.ceil((view.top + view.height) / HIGH) + OVER);
  const wide = { width: `${zoom * 100}%` };
  return html`<div class="timeline" ref=${box} onScroll=${measure} tabindex="0" role="region" aria-label="Timeline of the run"><div class="timeline-in" style=${wide}>
    <div class="axis" aria-hidden="true">${ticks(end, zoom * (innerWidth < 700 ? 3 : 8)).map((at) => html`<span key=${at} style=${{ left: `${(100 * at) / end}%` }}>${at ? formatDuration(at / 1000) : "0"}</span>`)}</div>
    <div style=${{ height: `${rows.length * HIGH}px`, position: "relative" }} role="list">
      ${rows.slice(from, to).map((row, index) => html`<div key=${row.key} role="listitem" class=${`trow${row.whole && row.bars[0].ordinal === chosen ? " chosen" : ""}`} style=${{ transform: `translateY(${(from + index) * HIGH}px)` }}>
        ${row.whole ? html`<button type="button" class="tlabel linkbutton" title=${row.label} onClick=${() => openJob(row.bars[0].ordinal)}>${row.bars[0].critical ? html`<span class="sr">critical: </span>` : null}${row.label}</button>` : html`<span class="tlabel mono muted">${row.label}</span>`}
        <div class="tbars">${row.bars.map((bar) => html`<${Bar} bar=${bar} end=${end} now=${now} only=${lanes} open=${openJob} />`)}</div></div>`)}
    </div></div></div>`;
}

function Bar({ bar, end, now, only, open }) {
  const shown = only ? bar.phases.slice(-1) : bar.phases;
  return shown.map(([kind, from, to]) => {
    const last = to ?? now;
    const bad = kind === "execution" && ["failed", "stopped"].includes(bar.status) && from === bar.phases.at(-1)[1];
    return html`<i class=${`bar bar-${bad ? "bad" : TONES[kind]}${bar.critical && kind === "execution" ? " bar-critical" : ""}`} onClick=${() => open(bar.ordinal)}
      style=${{ left: `${(100 * from) / end}%`, width: `max(2px, ${(100 * (last - from)) / end}%)` }} title=${`${bar.name}: ${WORDS[kind]} ${formatDuration((last - from) / 1000)}${bad ? `, ${look(bar.status).word}` : ""}`}></i>`;
  });
}
