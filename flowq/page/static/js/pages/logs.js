// The output of all jobs of a run, in order of time.
import { get } from "../api.js";
import { html, useCallback, useEffect, useMemo, useRef, useState } from "../html.js";
import { useTopic } from "../live.js";
import { LogView } from "../log_view.js";
import { Empty, Waiting, plural } from "../parts.js";
import { runPath } from "../router.js";

const MOST = 200000; // lines that are kept
const PAGE = 5000;

// Entries of several jobs as lines: a line may come in pieces, which belong together per job and stream.
class Lines {
  constructor() {
    this.entries = [];
    this.clear();
  }

  clear() {
    this.all = [];
    this.open = new Map();
    this.position = "";
    this.number = 0;
  }

  // Earlier entries change what the later ones continue, so all lines are made again.
  before(entries) {
    const all = [...entries, ...this.entries];
    this.entries = [];
    this.clear();
    return this.add(all);
  }

  add(entries) {
    this.entries.push(...entries);
    for (const [position, at, ordinal, stream, text] of entries) {
      if (position !== this.position) { this.position = position; this.number = 0; }
      const key = `${ordinal} ${stream}`;
      const pieces = text.split("\n");
      for (const [index, piece] of pieces.entries()) {
        const last = index === pieces.length - 1;
        if (last && piece === "") { this.open.delete(key); break; }
        const open = this.open.get(key);
        if (open) open.text += piece;
        else {
          const line = { key: `${position} ${this.number++}`, text: piece, stream, ordinal, at };
          this.all.push(line);
          this.open.set(key, line);
        }
        if (!last) this.open.delete(key);
      }
    }
    if (this.all.length > MOST) {
      this.all.splice(0, this.all.length - MOST);
      const begin = this.all[0].key.split(" ")[0];
      this.entries.splice(0, this.entries.findIndex(([position]) => position === begin));
    }
    return [...this.all];
  }
}

export function LogsTab({ run, jobs, openJob }) {
  const [lines, setLines] = useState(null);
  const [error, setError] = useState(null);
  const [dropped, setDropped] = useState(0);
  const [follow, setFollow] = useState(true);
  const [job, setJob] = useState("");
  const [stream, setStream] = useState("");
  const [find, setFind] = useState("");
  const model = useRef(new Lines());
  const after = useRef(null);
  const [before, setBefore] = useState(null); // the position of the first entry, null: there are no earlier ones
  const reading = useRef(0); // 1: a reading is under way, 2: another one is wanted behind it
  const read = useCallback(async () => {
    if (reading.current) { reading.current = 2; return; }
    do {
      reading.current = 1;
      try {
        for (;;) {
          const begins = after.current === null; // with the latest output
          const page = await get(`${runPath(run.id)}/log`, begins ? { before: "+", limit: PAGE } : { after: after.current, limit: PAGE });
          if (page.entries.length || begins) setLines(model.current.add(page.entries));
          if (begins) setBefore(page.more ? page.next : null);
          after.current = page.entries.at(-1)?.[0] ?? after.current ?? "0";
          setDropped(page.dropped);
          if (begins || !page.more) break;
        }
      } catch (failure) { setError(failure); }
    } while (reading.current === 2);
    reading.current = 0;
  }, [run.id]);
  const earlier = async () => {
    if (reading.current || before === null || lines.length >= MOST) return;
    reading.current = 1;
    try {
      const page = await get(`${runPath(run.id)}/log`, { before, limit: PAGE });
      setLines(model.current.before(page.entries));
      setBefore(page.more ? page.next : null);
    } catch (failure) { setError(failure); }
    const again = reading.current === 2;
    reading.current = 0;
    if (again) read();
  };
  useEffect(() => { read(); }, [read, run.status]); // the end of a run has no message of its output
  useTopic(`log:${run.id}`, read, [read]);
  const shown = useMemo(() => {
    const name = job.toLowerCase();
    const text = find.toLowerCase();
    if (!lines || (!name && !stream && !text)) return lines ?? [];
    const fits = name ? new Set((jobs?.rows ?? []).filter((row) => row.name.toLowerCase().includes(name)).map((row) => row.ordinal)) : null;
    return lines.filter((line) => (!fits || fits.has(line.ordinal)) && (!stream || line.stream === stream) && (!text || line.text.toLowerCase().includes(text)));
  }, [lines, job, stream, find, jobs]);
  if (!lines) return html`<${Waiting} error=${error} />`;
  const names = (ordinal) => jobs?.byOrdinal.get(ordinal)?.name ?? `job ${ordinal}`;
  return html`<div class="filters" role="search" aria-label="Filter of lines">
      <label>Job<input class="input" type="search" value=${job} onInput=${(event) => setJob(event.target.value)} placeholder="part of its name" /></label>
      <label>Text<input class="input" type="search" data-search value=${find} onInput=${(event) => setFind(event.target.value)} placeholder="part of a line" /></label>
      <label>Stream<select class="input" value=${stream} onChange=${(event) => setStream(event.target.value)}><option value="">both</option><option value="out">stdout</option><option value="err">stderr</option></select></label>
      <span class="grow"></span><span class="count">${plural(shown.length, "line")}${before ? ", earlier ones as you scroll up" : ""}${dropped ? "; the oldest were not kept" : ""}</span>
      <label class="check"><input type="checkbox" checked=${follow} onChange=${() => setFollow(!follow)} /> follow</label>
    </div>
    ${shown.length ? html`<${LogView} lines=${shown} follow=${follow} setFollow=${setFollow} onTop=${before ? earlier : null} label="Output of all jobs" names=${names} find=${find} open=${(ordinal) => openJob(ordinal, { view: "log" })} />`
    : html`<${Empty}>${lines.length ? "No line fits." : "No job has written anything."}<//>`}`;
}
