// The files that jobs have left: of a run, or of one job with what it got from others.
import { plain } from "../ansi.js";
import { getBytes, href, query, segment } from "../api.js";
import { useDocument } from "../data.js";
import { html, useState } from "../html.js";
import { bytes } from "../log_model.js";
import { Action, Card, Dialog, Empty, Table, Waiting } from "../parts.js";
import { Link, runPath } from "../router.js";
import { Time } from "../time.js";

const SHORT = 64 * 1024; // bytes of a file whose text is shown
const useArtifacts = (run, params, version) => useDocument(`${runPath(run.id)}/artifacts${query(params)}`, { all: true, version });

export function ArtifactsTab({ run, openJob }) {
  const { data, error } = useArtifacts(run, {}, run.with_artifacts);
  if (!data) return html`<${Waiting} error=${error} />`;
  if (!data.items.length) return html`<${Empty}>No job has left files: <code>artifacts:</code> of a job says which are kept.<//>`;
  return html`<${Files} run=${run} items=${data.items} job=${(item) => html`<button type="button" class="linkbutton" onClick=${() => openJob(item.ordinal, { view: "artifacts" })}>${item.job}</button>`} />`;
}

export function JobArtifacts({ run, data: job }) {
  const { data, error } = useArtifacts(run, { job: job.ordinal }, job.attempts_list.length);
  return html`<div class="stack">
    ${!data ? html`<${Waiting} error=${error} />` : data.items.length ? html`<${Files} run=${run} items=${data.items} />` : html`<${Empty}>It has left no files.<//>`}
    ${job.fetch.length ? html`<${Card} title="Fetched before it began"><${Table} caption="Artifacts of other jobs" rows=${job.fetch} rowKey=${(item) => `${item.job} ${item.artifact}`} columns=${[
      ["Artifact", (item) => html`<span class="mono wraps">${item.artifact}</span>`, { main: true }],
      ["Of", (item) => html`<${Link} to=${runPath(run.id, "jobs")} search=${{ find: item.job }}>${item.job}<//>${item.optional ? html` <span class="muted">if there is one</span>` : null}`],
      ["To", (item) => html`<code>${plain(item.to)}</code>`],
    ]} /><//>` : null}</div>`;
}

// A table of files. `job`: what stands for the job of an artifact; null: all are of one.
function Files({ run, items, job = null }) {
  const [shown, setShown] = useState(null); // { path, text }
  const rows = items.flatMap((item) => (item.files.length ? item.files : [null]).map((file) => ({ item, file })));
  const path = ({ item, file }) => `${runPath(run.id)}/jobs/${item.ordinal}/artifacts/${segment(item.name)}/${file.sha256}`;
  const show = (row) => async () => setShown({ path: row.file.path, text: textOf((await getBytes(path(row))).data) });
  const columns = [
    ["File", ({ file }) => (file ? html`<span class="mono wraps">${plain(file.path)}</span>` : html`<span class="muted">no files</span>`), { main: true }],
    ["Artifact", ({ item }) => html`<span class="wraps">${item.name}</span>${item.kept_until ? html` <span class="muted">until <${Time} at=${item.kept_until} /></span>` : null}`],
    ["Size", ({ file }) => (file ? html`<span class="num" title=${`${file.size} bytes`}>${bytes(file.size)}</span>` : null), { right: true }],
    ["SHA-256", ({ file }) => (file ? html`<code title=${file.sha256}>${file.sha256.slice(0, 12)}</code>` : null)],
    ["", (row) => (row.file ? html`${row.file.size <= SHORT ? html`<${Action} small role="viewer" run=${show(row)} aria-label=${`Show ${row.file.path}`}>Show<//>` : null}
      <a class="button button-small" href=${href(path(row))} download aria-label=${`Download ${row.file.path}`}>Download</a>` : null), { class: "actions" }],
  ];
  if (job) columns.splice(1, 0, ["Job", ({ item }) => job(item)]);
  return html`<${Table} caption="Files of artifacts" rows=${rows} rowKey=${({ item, file }) => `${item.ordinal} ${item.name} ${file?.path}`} columns=${columns} />
    ${shown ? html`<${Dialog} wide title=${plain(shown.path)} onClose=${() => setShown(null)}>${shown.text === null ? html`<p>This is not text: download it.</p>` : html`<pre class="code" tabindex="0" aria-label="Content">${plain(shown.text)}</pre>`}<//>` : null}`;
}

// The text of a file, null if it has none.
function textOf(data) {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(data);
    return text.includes("\0") ? null : text;
  } catch { return null; }
}
