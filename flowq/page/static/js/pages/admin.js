// Tokens, what was done by whom, and the state of the installation.
import { post, remove } from "../api.js";
import { useDocument } from "../data.js";
import { html, useState } from "../html.js";
import { Action, Button, Confirm, Copy, Dialog, Empty, Field, Table, Tabs, Waiting } from "../parts.js";
import { usePlace } from "../router.js";
import { Time } from "../time.js";
import { Badge } from "../status.js";

const VIEWS = [["tokens", "Tokens"], ["audit", "Audit"], ["doctor", "Doctor"], ["serves", "Servers"], ["settings", "Settings"], ["gc", "Clean up"]];

export function AdminPage() {
  const { search } = usePlace();
  const view = search.view ?? "tokens";
  return html`<div class="pagehead"><h1>Admin</h1></div>
    <${Tabs} label="Parts of the administration" views=${VIEWS} current=${view} to=${(name) => ({ to: "/admin", search: name === "tokens" ? null : { view: name } })} />
    ${{ tokens: html`<${Tokens} />`, audit: html`<${Audit} />`, doctor: html`<${Doctor} />`, serves: html`<${Serves} />`, settings: html`<${Settings} />`, gc: html`<${Garbage} />` }[view]}`;
}

function Tokens() {
  const { data, error, reload } = useDocument("/tokens", { all: true });
  const [open, setOpen] = useState(null);
  if (!data) return html`<${Waiting} error=${error} />`;
  return html`<p class="buttons tokenbar"><span class="grow muted">A token lets a person or a program in. It is shown once.</span><${Button} kind="main" role="admin" write onClick=${() => setOpen("new")}>New token …<//></p>
    ${data.items.length ? html`<${Table} caption="Tokens and sessions" rows=${data.items} rowKey=${(row) => row.id} columns=${[
      ["Name", (row) => html`<span class="wraps">${row.name}</span> <span class="muted mono">${row.id.slice(0, 8)}</span>`, { main: true }],
      ["Kind", (row) => `${row.kind}${row.current ? " (yours)" : ""}`],
      ["Role", (row) => row.role],
      ["Flows", (row) => html`<code>${row.flows.join(" ")}</code>`],
      ["Created", (row) => html`<${Time} at=${row.created_at} />`],
      ["Expires", (row) => html`<${Time} at=${row.expires_at} empty="never" />`],
      ["Last used", (row) => html`<${Time} at=${row.used_at} empty="never" />`],
      ["", (row) => html`<${Button} small write role="admin" kind="danger" onClick=${() => setOpen(row)} aria-label=${`Revoke ${row.name}`}>Revoke …<//>`, { class: "actions" }],
    ]} />` : html`<${Empty}>There are no tokens.<//>`}
    ${open === "new" ? html`<${NewToken} onClose=${() => setOpen(null)} reload=${reload} />` : null}
    ${open && open !== "new" ? html`<${Confirm} title=${`Revoke ${open.name}?`} action="Revoke" kind="danger" role="admin" onClose=${() => setOpen(null)} run=${() => remove(`/tokens/${encodeURIComponent(open.id)}`).then(reload)}><p>It stops working at once, and so do the sessions that it opened.</p><//>` : null}`;
}

function NewToken({ onClose, reload }) {
  const [form, setForm] = useState({ name: "", role: "viewer", flows: "", expires: "90d" });
  const [token, setToken] = useState(null);
  const set = (key) => (event) => setForm({ ...form, [key]: event.target.value });
  const create = async () => {
    const flows = form.flows.split(/[\s,]+/).filter(Boolean);
    const made = await post("/tokens", { name: form.name, role: form.role, ...(flows.length ? { flows } : {}), ...(form.expires ? { expires: form.expires } : {}) });
    setToken(made.token);
    reload();
  };
  if (token) {
    return html`<${Dialog} title=${`The token of ${form.name}`} onClose=${onClose} footer=${html`<${Button} kind="main" onClick=${onClose}>Done<//>`}>
      <p class="field">Copy it now: it is not stored and cannot be shown again.</p><div class="field"><${Copy} text=${token} label="Copy the token" /></div><//>`;
  }
  const choice = (key, title, values) => html`<${Field} title=${title}><select class="input" value=${form[key]} onChange=${set(key)}>${values.map(([value, text]) => html`<option value=${value} selected=${value === form[key]}>${text}</option>`)}</select><//>`;
  return html`<${Dialog} title="New token" onClose=${onClose} footer=${html`<${Button} onClick=${onClose}>Back<//><${Action} kind="main" role="admin" run=${create} disabled=${!form.name.trim()}>Create<//>`}>
    <${Field} title="Name" note="who or what uses it"><input class="input" maxlength="100" value=${form.name} onInput=${set("name")} /><//>
    ${choice("role", "Role", [["viewer", "viewer: looks"], ["operator", "operator: launches, retries, approves"], ["admin", "admin: also deletes and makes tokens"]])}
    <${Field} title="Flows" note="patterns such as etl/*; empty: all"><input class="input mono" value=${form.flows} onInput=${set("flows")} /><//>
    ${choice("expires", "Expires", [["1d", "after a day"], ["30d", "after 30 days"], ["90d", "after 90 days"], ["365d", "after a year"], ["", "never"]])}<//>`;
}

function Audit() {
  const { data, error } = useDocument("/audit");
  if (!data) return html`<${Waiting} error=${error} />`;
  const rows = data.items;
  if (!rows.length) return html`<${Empty}>Nothing was changed yet.<//>`;
  return html`<${Table} caption="What was done, latest first" rows=${rows} rowKey=${(row) => row.position} columns=${[
    ["At", (row) => html`<${Time} at=${row.at} />`],
    ["Who", (row) => html`<span class="wraps">${row.name} <span class="muted">${row.role}</span></span>`, { main: true }],
    ["From", (row) => html`<span class="mono">${row.address}</span>`],
    ["What", (row) => html`<code class="wraps">${row.action} ${row.path}</code>`],
    ["Answer", (row) => html`<span class="num">${row.status}</span>`],
  ]} />`;
}

function Doctor() {
  const { data, error, reload } = useDocument("/doctor");
  if (!data) return html`<${Waiting} error=${error} />`;
  const rows = data.items;
  const tone = { ok: "good", warning: "wait", problem: "bad", error: "bad" };
  return html`<p class="buttons tokenbar"><span class="grow muted">The same checks as <code>flowq doctor</code>.</span><${Action} role="viewer" run=${reload}>Check again<//></p>
    <${Table} caption="Findings" rows=${rows} rowKey=${(row) => `${row.code} ${row.text}`} columns=${[
      ["Code", (row) => html`<code>${row.code}</code>`],
      ["Level", (row) => html`<${Badge} tone=${tone[row.level] ?? "idle"} mark=${{ ok: "✔", warning: "!" }[row.level] ?? "✖"}>${row.level}<//>`],
      ["Finding", (row) => html`<span class="wraps">${row.text}${row.advice ? html` <span class="muted">${row.advice}</span>` : null}</span>`, { main: true }],
    ]} />`;
}

function Settings() {
  const { data, error } = useDocument("/settings");
  if (!data) return html`<${Waiting} error=${error} />`;
  return html`<p class="muted">As <code>flowq config</code> shows them to the process that answers here; passwords are not shown.</p><${Table} caption="Settings" rows=${data.items} rowKey=${(row) => row.name} columns=${[
    ["Setting", (row) => html`<code>${row.name}</code>`, { main: true }],
    ["Value", (row) => (row.value === null ? html`<span class="muted">not set</span>` : html`<span class="mono wraps">${row.value}</span>`)],
    ["From", (row) => html`<span class="wraps">${row.source}</span>`],
    ["Variable", (row) => (row.variable ? html`<code>${row.variable}</code>` : null)],
  ]} />`;
}

const KINDS = [["expired_runs", "runs whose retention has passed"], ["chosen_runs", "runs that you chose"], ["unfinished_submissions", "submissions that died halfway"], ["dead_retries", "retries that died halfway"]];
const counted = (found) => KINDS.map(([key, what]) => [found[key].length, what]).concat([[Object.values(found.expired_entries).reduce((sum, count) => sum + count, 0), "entries of expired jobs"]]).filter(([count]) => count);

// What `flowq gc` does: first the counts, then the deletion.
function Garbage() {
  const [form, setForm] = useState({ older_than: "", keep: "" });
  const [found, setFound] = useState(null);
  const ask = async (dry) => setFound(await post("/gc", { older_than: form.older_than || null, keep: form.keep === "" ? null : Number(form.keep), dry_run: dry }));
  const field = (name, title, more) => html`<${Field} title=${title}><input class="input" value=${form[name]} onInput=${(event) => { setForm({ ...form, [name]: event.target.value }); setFound(null); }} ...${more} /><//>`;
  const rows = found ? counted(found) : [];
  return html`<div class="stack narrow"><p class="muted">Workers delete what has expired by themselves. Here it is deleted at once, and old runs with it.</p>
    ${field("older_than", "Also runs that ended longer ago than", { placeholder: "30d" })}${field("keep", "Keep the latest runs of each flow", { type: "number", min: 0, placeholder: "all" })}
    <p class="buttons"><${Action} role="admin" run=${() => ask(true)}>Show what goes<//><${Action} role="admin" kind="danger" disabled=${!found?.dry_run || !rows.length} run=${() => ask(false)}>Delete<//></p>
    ${found ? html`<p role="status">${rows.length ? `${found.dry_run ? "Would delete" : "Deleted"}: ${rows.map(([count, what]) => `${count} ${what}`).join(", ")}.` : "There is nothing to delete."}</p>` : null}</div>`;
}

function Serves() {
  const { data, error } = useDocument("/serves");
  if (!data) return html`<${Waiting} error=${error} />`;
  const rows = data.items;
  if (!rows.length) return html`<${Empty}>No server has reported itself.<//>`;
  return html`<${Table} caption="Servers" rows=${rows} rowKey=${(row) => row.name} columns=${[
    ["Server", (row) => html`<span class="mono wraps">${row.hostname} ${row.pid}</span>${row.current ? html` <span class="muted">answers here</span>` : null}`, { main: true }],
    ["Address", (row) => html`<span class="mono wraps">${row.url}</span>`],
    ["Directory", (row) => html`<span class="wraps">${row.catalog ?? html`<span class="muted">none</span>`}</span>`],
    ["Version", (row) => row.version],
  ]} />`;
}
