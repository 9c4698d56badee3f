// A value as a tree: maps and lists fold, text stays text.
import { html, useState } from "../html.js";
import { plain } from "../ansi.js";

const MOST = 200; // entries of one level before "more"
const OPEN = 2; // levels that are open at first

export const Json = ({ value }) => html`<div class="json" tabindex="0" aria-label="Result"><${Node} value=${value} depth=${0} /></div>`;

function Node({ name = null, value, depth }) {
  const [open, setOpen] = useState(depth < OPEN);
  const [most, setMost] = useState(MOST);
  const label = name === null ? null : html`<span class="json-key">${plain(String(name))}</span>: `;
  if (value === null || typeof value !== "object") return html`<div>${label}<${Leaf} value=${value} /></div>`;
  const list = Array.isArray(value);
  const entries = Object.entries(value);
  const sum = list ? `[${entries.length}]` : `{${entries.length}}`;
  if (!entries.length) return html`<div>${label}<span class="muted">${list ? "[]" : "{}"}</span></div>`;
  return html`<div><button type="button" class="json-fold" aria-expanded=${open} onClick=${() => setOpen(!open)}><span aria-hidden="true">${open ? "▾" : "▸"}</span> ${label}<span class="muted">${sum}</span></button>
    ${open ? html`<div class="json-in">${entries.slice(0, most).map(([key, item]) => html`<${Node} key=${key} name=${key} value=${item} depth=${depth + 1} />`)}
      ${entries.length > most ? html`<button type="button" class="linkbutton" onClick=${() => setMost(most + 1000)}>${entries.length - most} more</button>` : null}</div>` : null}</div>`;
}

function Leaf({ value }) {
  if (typeof value === "string") return html`<span class="json-text">${plain(JSON.stringify(value))}</span>`;
  return html`<span class="json-value">${String(value)}</span>`;
}
