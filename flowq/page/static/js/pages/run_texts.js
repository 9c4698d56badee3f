// The events of a run, and the text of its flow.
import { get } from "../api.js";
import { useDocument } from "../data.js";
import { html, useCallback, useEffect, useRef, useState } from "../html.js";
import { useTopic } from "../live.js";
import { Empty, Waiting } from "../parts.js";
import { runPath } from "../router.js";
import { Status, reasonText } from "../status.js";
import { Time } from "../time.js";

const KEPT = 2000; // events in the document: the latest ones

export function EventsTab({ run, openJob }) {
  const [state, setState] = useState({ items: null, error: null });
  const after = useRef("0");
  const reading = useRef(false);
  const read = useCallback(async () => {
    if (reading.current) return;
    reading.current = true;
    try {
      for (;;) {
        const page = await get(`${runPath(run.id)}/events`, { after: after.current, limit: 1000 });
        setState((before) => ({ items: [...(before.items ?? []), ...page.items].slice(-KEPT), error: null }));
        if (page.items.length) after.current = page.items.at(-1).seq;
        if (page.items.length < 1000) break;
      }
    } catch (error) {
      setState((before) => ({ ...before, error }));
    }
    reading.current = false;
  }, [run.id]);
  useEffect(() => { read(); }, [read]);
  useTopic(`run:${run.id}`, read, [read]);
  if (!state.items) return html`<${Waiting} error=${state.error} />`;
  const rows = [...state.items].reverse();
  if (!rows.length) return html`<${Empty}>No events are kept.<//>`;
  return html`<p class="count">${rows.length === KEPT ? `the latest ${KEPT} events` : `${rows.length} events`}, latest first</p>
    <table class="table"><caption class="sr">Events of the run, latest first</caption><thead><tr><th scope="col">At</th><th scope="col">Job</th><th scope="col">Became</th><th scope="col">Why</th><th scope="col">Attempt</th></tr></thead>
    <tbody>${rows.map((event) => html`<tr key=${event.seq}><td data-label="At"><${Time} at=${event.at} /></td>
      <td class="main">${event.job ? html`<button type="button" class="linkbutton" onClick=${() => openJob(ordinalOf(event.job))}>${event.name ?? event.job}</button>` : html`<strong>the run</strong>`}</td>
      <td data-label="Became"><${Status} status=${event.to} reason=${event.reason} /></td><td data-label="Why">${reasonText(event.reason)}</td><td data-label="Attempt" class="num">${event.attempt || ""}</td></tr>`)}</tbody></table>`;
}

const ordinalOf = (job) => Number(/(\d+)$/.exec(job)?.[1] ?? 0);

export function SourceTab({ run }) {
  const { data, error } = useDocument(`${runPath(run.id)}/source`);
  if (!data) return html`<${Waiting} error=${error} />`;
  if (!data.files.length) return html`<${Empty}>The text is not kept.<//>`;
  return html`<div class="stack">${data.files.map(({ file, text, note }) => html`<section key=${file}><h2 class="mono">${file}</h2>${text === null || text === undefined ? html`<p class="note">${note ?? "The file is another one now, so its text is not shown."}</p>` : html`<${Source} text=${text} />`}</section>`)}</div>`;
}

// A text with numbers of lines; `marks` are line numbers that stand out.
export function Source({ text, first = 1, marks = new Set() }) {
  const lines = text.replace(/\n$/, "").split("\n");
  return html`<ol class="source" tabindex="0" aria-label="Text of the file">${lines.map((line, index) => html`<li data-line=${first + index} class=${marks.has(first + index) ? "marked" : ""}><code>${line || " "}</code></li>`)}</ol>`;
}
