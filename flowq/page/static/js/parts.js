// Small parts of which pages are made: buttons that wait for the server, notes, dialogs, tables.
import { away, session } from "./api.js";
import { html, useEffect, useId, useRef, useState } from "./html.js";
import { Link } from "./router.js";
import { observable, useObservable } from "./store.js";

const RANK = { viewer: 0, operator: 1, admin: 2 };
export const may = (role) => { const who = session.get(); return Boolean(who) && !who.readonly && RANK[who.role] >= RANK[role]; };

// -- messages that pass -----------------------------------------------------------------------------------------------------------

const toasts = observable([]);
let serial = 0;

export function say(text, { bad = false } = {}) {
  const id = ++serial;
  toasts.set([...toasts.get().slice(-3), { id, text, bad }]);
  setTimeout(() => forget(id), bad ? 12000 : 5000);
}
const forget = (id) => toasts.set(toasts.get().filter((toast) => toast.id !== id));

export function Toasts() {
  return html`<div class="toasts" role="status" aria-live="polite">${useObservable(toasts).map((toast) => html`
    <div class="toast" key=${toast.id}><span aria-hidden="true">${toast.bad ? "✖" : "✔"}</span><span class="grow">${toast.text}</span>
      <button type="button" aria-label="Close message" onClick=${() => forget(toast.id)}>×</button></div>`)}</div>`;
}

// -- buttons ----------------------------------------------------------------------------------------------------------------------

// A button whose action asks the server: it says that it waits, and is off while the server is away. Errors are told with the server's words.
export function Action({ run, children, kind = "", small = false, disabled = false, role = "operator", done = null, ...rest }) {
  const [pending, setPending] = useState(false);
  const gone = useObservable(away);
  const alive = useRef(true);
  useEffect(() => () => { alive.current = false; }, []);
  if (!may(role)) return null;
  const click = async () => {
    setPending(true);
    try {
      await run();
      if (done) say(done);
    } catch (error) {
      say(error.message, { bad: true });
    }
    if (alive.current) setPending(false);
  };
  const classes = `button${kind ? ` button-${kind}` : ""}${small ? " button-small" : ""}`;
  return html`<button type="button" class=${classes} disabled=${disabled || pending || Boolean(gone)} aria-busy=${pending} onClick=${click} ...${rest}>${children}${pending ? " …" : ""}</button>`;
}

export function Button({ children, kind = "", small = false, role = null, write = false, ...rest }) {
  const gone = useObservable(away);
  if (role && !may(role)) return null;
  return html`<button type="button" class=${`button${kind ? ` button-${kind}` : ""}${small ? " button-small" : ""}`} disabled=${write && Boolean(gone)} ...${rest}>${children}</button>`;
}

export function Copy({ text, label = "Copy" }) {
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      say("Copied");
    } catch {
      say("The browser does not allow copying here", { bad: true });
    }
  };
  return html`<div class="copy"><code>${text}</code><${Button} small onClick=${copy} aria-label=${`${label}: ${text}`}>Copy<//></div>`;
}

// `1 run`, `2 runs`.
export const plural = (count, noun, nouns = `${noun}s`) => `${count} ${count === 1 ? noun : nouns}`;

// -- addresses and fields ------------------------------------------------------------------------------------------------------------

// Where links are wider than the window, the present one is scrolled to.
export function useShown(current) {
  const ref = useRef(null);
  useEffect(() => { ref.current.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" }); }, [current]);
  return ref;
}

// Views of one thing. views: [[name, title]], the first of which has the address itself; to(name): the properties of its link.
export const Tabs = ({ label, views, current, to }) => html`<nav class="tabs" aria-label=${label} ref=${useShown(current)}>${views.map(([name, title]) => html`<${Link} key=${name} ...${to(name)} aria-current=${name === current ? "page" : undefined}>${title}<//>`)}</nav>`;

// A field of a form with its name, and what is noted beside that.
export const Field = ({ title, note = null, children }) => html`<label class="field"><span class="name">${title}${note ? html` <span class="muted">${note}</span>` : null}</span>${children}</label>`;

// -- states of a document -----------------------------------------------------------------------------------------------------------

// What stands in place of a document that is not there: nothing for a moment, or why it is not.
export function Waiting({ error, what = "This" }) {
  if (!error) return html`<p class="empty" aria-busy="true">…</p>`;
  if (error.status === 404) return html`<div class="empty"><h2>${what} is not here</h2><p>${error.message}</p></div>`;
  if (error.status === 403) return html`<div class="empty"><h2>Not allowed</h2><p>${error.message}</p></div>`;
  return html`<div class="empty"><p>${error.message}</p></div>`;
}

export const Empty = ({ children }) => html`<p class="empty">${children}</p>`;

// -- dialogs ------------------------------------------------------------------------------------------------------------------------

// The browser's own dialog: it keeps the focus inside, closes with Esc and gives the focus back.
export function Dialog({ title, children, footer, onClose, wide = false }) {
  const ref = useRef(null);
  const id = useId();
  useEffect(() => {
    const before = document.activeElement;
    ref.current.showModal();
    ref.current.querySelector("[autofocus], .body input, .body textarea, .body select, footer button")?.focus();
    return () => before?.focus?.();
  }, []);
  const clickBackdrop = (event) => { if (event.target === ref.current) onClose(); };
  return html`<dialog ref=${ref} aria-labelledby=${id} class=${wide ? "dialog-wide" : ""} onClose=${onClose} onClick=${clickBackdrop} onCancel=${(event) => { event.preventDefault(); onClose(); }}>
    <header><h2 id=${id}>${title}</h2><${Button} kind="quiet" small aria-label="Close" onClick=${onClose}>×<//></header>
    <div class="body">${children}</div>
    ${footer ? html`<footer>${footer}</footer>` : null}
  </dialog>`;
}

// A question before something that cannot be taken back.
export function Confirm({ title, children, action, kind = "main", run, onClose, role = "operator" }) {
  return html`<${Dialog} title=${title} onClose=${onClose} footer=${html`
    <${Button} onClick=${onClose}>Back<//>
    <${Action} kind=${kind} role=${role} run=${async () => { await run(); onClose(); }}>${action}<//>`}>${children}<//>`;
}

// -- tables -------------------------------------------------------------------------------------------------------------------------

// columns: [title, row => content, {main, right, label}]. On a narrow screen each row is a card and the title stands before its content.
export function Table({ caption, columns, rows, rowKey }) {
  return html`<table class="table"><caption class="sr">${caption}</caption>
    <thead><tr>${columns.map(([title, , options = {}]) => html`<th scope="col" class=${options.right ? "right" : options.class ?? ""}>${options.pick ? options.head : title || html`<span class="sr">actions</span>`}</th>`)}</tr></thead>
    <tbody>${rows.map((row) => html`<tr key=${rowKey(row)}>${columns.map(([title, cell, options = {}]) => html`
      <td data-label=${options.main || options.pick || !title ? undefined : title} class=${[options.main && "main", options.right && "right", options.class].filter(Boolean).join(" ")}>${cell(row)}</td>`)}</tr>`)}</tbody>
  </table>`;
}

export const Card = ({ title, count, tools, children }) => html`<section class="card"><header><h2>${title}</h2>${count === undefined ? null : html`<span class="count">${count}</span>`}<span class="grow"></span>${tools}</header>${children}</section>`;

// `most`: characters of one that are shown, where a list has many.
export function Chips({ values, most = Infinity }) {
  const texts = Object.entries(values ?? {}).map(([key, value]) => [key, `${key}=${typeof value === "string" ? value : JSON.stringify(value)}`]);
  if (!texts.length) return null;
  return html`<span class="chips">${texts.map(([key, text]) => html`<span class="chip" key=${key}>${text.length > most ? `${text.slice(0, most - 1)}…` : text}</span>`)}</span>`;
}
