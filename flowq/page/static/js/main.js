// The frame of the page: who is logged in, the routes, the bar at the top, the keys.
import { ApiError, away, get, post, prefix, remove, session, whoami } from "./api.js";
import { useDocument, useNow } from "./data.js";
import { html, render, useEffect, useErrorBoundary, useState } from "./html.js";
import { Later, lazily } from "./lazy.js";
import { stream } from "./live.js";
import { Button, Dialog, Toasts, Waiting, say, useShown } from "./parts.js";
import { Link, navigate, place, setSearch, usePlace } from "./router.js";
import { LoginPage } from "./pages/login.js";
import { remembered, useObservable } from "./store.js";
import { LOCAL, timeMode, timeModes, zoneName } from "./time.js";

const ROUTES = [
  [/^\/$/, lazily(() => import("./pages/home.js"), "HomePage"), "Home"],
  [/^\/runs$/, lazily(() => import("./pages/runs.js"), "RunsPage"), "Runs"],
  [/^\/runs\/([^/]+)(?:\/(graph|jobs|timeline|logs|artifacts|events|yaml))?$/, lazily(() => import("./pages/run.js"), "RunPage"), "Run"],
  [/^\/flows$/, lazily(() => import("./pages/flows.js"), "FlowsPage"), "Flows"],
  [/^\/flows\/([^/]+)\/launch$/, lazily(() => import("./pages/launch.js"), "LaunchPage"), "Launch"],
  [/^\/flows\/([^/]+)$/, lazily(() => import("./pages/flow.js"), "FlowPage"), "Flow"],
  [/^\/schedules$/, lazily(() => import("./pages/schedules.js"), "SchedulesPage"), "Schedules"],
  [/^\/queues$/, lazily(() => import("./pages/machines.js"), "QueuesPage"), "Queues"],
  [/^\/workers$/, lazily(() => import("./pages/machines.js"), "WorkersPage"), "Workers"],
  [/^\/admin$/, lazily(() => import("./pages/admin.js"), "AdminPage"), "Admin"],
  [/^\/login$/, lazily(() => import("./pages/home.js"), "HomePage"), "Home"],
];
const PLACES = [["/", "Home"], ["/runs", "Runs"], ["/flows", "Flows"], ["/schedules", "Schedules"], ["/queues", "Queues"], ["/workers", "Workers"], ["/admin", "Admin"]];
const GO = { h: "/", r: "/runs", f: "/flows", s: "/schedules", q: "/queues", w: "/workers", a: "/admin" };

const theme = remembered("theme", "system");
theme.listen(() => {
  if (theme.get() === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme.get();
});

const isCurrent = (path, to) => (to === "/" ? path === "/" : path === to || path.startsWith(`${to}/`));

function route(path) {
  for (const [pattern, load, title] of ROUTES) {
    const found = pattern.exec(path);
    if (found) return { load, title, args: found.slice(1).map((part) => part && decodeURIComponent(part)) };
  }
  return { load: missing, title: "Not found", args: [] };
}

const Missing = () => html`<div class="empty"><h1>There is no page here</h1><p><${Link} to="/runs">The list of runs<//></p></div>`;
const missing = async () => Missing;

function Top({ path, needs, onHelp }) {
  const chosen = useObservable(theme);
  const who = useObservable(session);
  const next = { system: "light", light: "dark", dark: "system" }[chosen];
  const leave = async () => {
    await remove("/session").catch(() => null);
    session.set(null);
  };
  return html`<header class="top">
    <${Link} to="/" class="brand" aria-label="flowq, home"><img src=${document.querySelector('link[rel="icon"]').href} alt="" />flowq<//>
    <nav aria-label="Pages" ref=${useShown(path)}>${PLACES.filter(([to]) => to !== "/admin" || who.role === "admin").map(([to, name]) => html`
      <${Link} key=${to} to=${to} aria-current=${isCurrent(path, to) ? "page" : undefined}>${name}${to === "/" && needs ? html`<span class="badge">${needs}<span class="sr"> need a person</span></span>` : null}<//>`)}</nav>
    <div class="tools">
      <${Button} kind="quiet" aria-label=${`Theme: ${chosen}. Change to ${next}`} title=${`Theme: ${chosen}`} onClick=${() => theme.set(next)}>${{ system: "◐", light: "☀", dark: "☾" }[chosen]}<//>
      <${Button} kind="quiet" aria-label="Keys and help" title="Keys (?)" onClick=${onHelp}>?<//>
      ${!who.signed_in ? null : html`<${Button} kind="quiet" onClick=${leave} title=${`${who.name}, ${who.role}`}>Log out<//>`}
    </div>
  </header>`;
}

function Foot() {
  const { info } = useObservable(session);
  const mode = useObservable(timeMode);
  const state = useObservable(stream);
  const [local, setLocal] = useState("local time");
  useEffect(() => { setTimeout(() => setLocal(zoneName(LOCAL)), 500); }, []); // behind the first view: see `zoneName`
  const words = { live: ["on", "live"], polling: ["part", "polling every 5 s"], off: ["", "not live"] }[state];
  return html`<footer class="foot">
    <span><span class=${`dot ${words[0]}`} aria-hidden="true"></span><span data-stream=${state}>${words[1]}</span></span>
    <label>Times in <select class="input" value=${mode} onChange=${(event) => timeMode.set(event.target.value)} aria-label="Zone of times">
      ${timeModes.map((name) => html`<option value=${name} selected=${name === mode}>${{ local, utc: "UTC", schedule: "zone of the schedule" }[name]}</option>`)}</select></label>
    <span class="grow"></span>
    ${info.readonly ? html`<span>read-only</span>` : null}
    ${info.catalog ? html`<span>${info.catalog.name}${info.catalog.stale ? " (the directory cannot be read)" : ""}</span>` : null}
    <span>flowq ${info.version}</span>
  </footer>`;
}

function AwayBar() {
  const gone = useObservable(away);
  const now = useNow(Boolean(gone));
  useEffect(() => {
    if (!gone) return undefined;
    const timer = setInterval(() => get("/info").catch(() => null), 2000);
    return () => clearInterval(timer);
  }, [Boolean(gone)]);
  if (!gone) return null;
  const seconds = Math.max(0, Math.round((now - gone.since) / 1000));
  return html`<div class="awaybar" role="alert">‖ No answer for ${seconds} s. What you see is what was last known; buttons are off.</div>`;
}

const KEYS = [
  ["g h, g r, g f, g s, g q, g w", "home, runs, flows, schedules, queues, workers"],
  ["/", "to the filter of this page"],
  ["Esc", "close the job, or the dialog"],
  ["1 … 7", "tabs of a run: graph, jobs, timeline, logs, artifacts, events, YAML"],
  ["← → ↑ ↓", "in a graph: to the job before, after, above, below; Enter opens it"],
  ["j, k", "next and previous row of the table of jobs"],
  ["t", "change the theme"],
  ["?", "these keys"],
];
const Help = ({ onClose }) => html`<${Dialog} title="Keys" onClose=${onClose}><dl class="keys">${KEYS.map(([keys, what]) => html`<dt>${keys.split(", ").map((key) => html`<kbd>${key}</kbd> `)}</dt><dd>${what}</dd>`)}</dl><//>`;

const typing = (target) => target.closest?.("input, textarea, select, dialog, [contenteditable]");

function useKeys(openHelp) {
  useEffect(() => {
    let going = 0;
    const press = (event) => {
      if (event.defaultPrevented || event.metaKey || event.ctrlKey || event.altKey) return;
      if (event.key === "Escape" && !document.querySelector("dialog[open]") && place.get().search.job !== undefined) {
        setSearch({ job: null });
        return;
      }
      if (typing(event.target) || document.querySelector("dialog[open]")) return;
      if (Date.now() - going < 1500 && GO[event.key]) { going = 0; navigate(GO[event.key]); return; }
      going = event.key === "g" ? Date.now() : 0;
      const run = /^\/runs\/[^/]+/.exec(place.get().path);
      const tab = ["graph", "jobs", "timeline", "logs", "artifacts", "events", "yaml"][Number(event.key) - 1];
      if (event.key === "?") openHelp();
      else if (event.key === "t") theme.set({ system: "light", light: "dark", dark: "system" }[theme.get()]);
      else if (event.key === "/") { event.preventDefault(); document.querySelector("[data-search]")?.focus(); }
      else if (run && tab) navigate(`${run[0]}/${tab}`);
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, []);
}

function Page({ load, args }) {
  const [error, again] = useErrorBoundary();
  if (error) {
    return html`<div class="empty"><h1>This page could not be drawn</h1><p>${String(error.message)}</p><p><${Button} onClick=${again}>Try again<//> <${Link} to="/runs">The list of runs<//></p></div>`;
  }
  return html`<${Later} load=${load} args=${args} />`;
}

function Inside() {
  const { path } = usePlace();
  const [help, setHelp] = useState(false);
  const { load, title, args } = route(path);
  const attention = useDocument("/attention", { topic: "runs", pause: 2000 }).data;
  const needs = attention ? attention.failed.length + attention.approvals.length : 0;
  useKeys(() => setHelp(true));
  useEffect(() => { document.title = `${args[0] ? `${args[0].replaceAll(":", "/")} – ` : ""}${title} – flowq`; }, [path]);
  return html`<a class="skip" href="#main" onClick=${(event) => { event.preventDefault(); document.getElementById("main").focus(); }}>Skip to content</a>
    <${Top} path=${path} needs=${needs} onHelp=${() => setHelp(true)} />
    <${AwayBar} />
    <main id="main" tabindex="-1"><${Page} key=${`${title} ${args[0] ?? ""}`} load=${load} args=${args} /></main>
    <${Foot} />
    ${help ? html`<${Help} onClose=${() => setHelp(false)} />` : null}`;
}

function App() {
  const who = useObservable(session);
  const [error, setError] = useState(null);
  useObservable(timeMode);
  useEffect(() => {
    if (who !== undefined) return;
    enter().then(session.set, (failure) => {
      if (failure instanceof ApiError && failure.status === 401) session.set(null);
      else setError(failure);
    });
  }, [who]);
  let shown;
  if (who === undefined) shown = html`<main><${Waiting} error=${error} /></main>`;
  else if (who === null) shown = html`<${LoginPage} />`;
  else shown = html`<${Inside} />`;
  return html`${shown}<${Toasts} />`;
}

// The token of a first start stands in the fragment, which no server sees; it is exchanged for a session and removed from the address.
async function enter() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (token) {
    history.replaceState({}, "", location.pathname + location.search);
    await post("/session", { token }).catch((error) => say(error.message, { bad: true }));
  }
  return whoami();
}

addEventListener("unhandledrejection", (event) => { if (event.reason instanceof ApiError) event.preventDefault(); });
if (location.pathname === prefix && prefix) history.replaceState({}, "", `${prefix}/`);
render(html`<${App} />`, document.getElementById("page"));
