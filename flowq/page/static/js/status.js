// What a status looks like: mark, word and colour, the same ones as in the command line. Colour never stands alone.
import { html } from "./html.js";

export const ENDED = new Set(["finished", "failed", "canceled", "skipped", "stopped"]);

const WORDS = {
  created: ["created", "idle", "·"],
  deferred: ["waiting", "idle", "·"],
  scheduled: ["waiting", "wait", "◷"],
  rate_limited: ["waiting", "wait", "◷"],
  queued: ["queued", "wait", "○"],
  started: ["running", "busy", "▶"],
  running: ["running", "busy", "▶"],
  finished: ["finished", "good", "✔"],
  succeeded: ["finished", "good", "✔"],
  failed: ["failed", "bad", "✖"],
  stopped: ["stopped", "bad", "✖"],
  canceled: ["canceled", "wait", "⊘"],
  skipped: ["skipped", "idle", "↷"],
};

const REASONS = {
  if_false: "its “if” was false",
  upstream_failed: "a job before it failed",
  upstream_skipped: "a job before it was skipped",
  upstream_canceled: "a job before it was canceled",
  upstream_finished: "no job before it failed",
  not_selected: "not selected",
  fail_fast: "another job failed (fail_fast)",
  run_canceled: "the run was canceled",
  run_timeout: "the run's time was over",
  concurrency: "the concurrency group is full",
  approval: "waits for a decision",
  max_parallel: "max_parallel is reached",
  retry: "before another attempt",
  delay: "its delay",
};

const QUIET = new Set(["error", "canceled", "exit_code"]);

export function look(status, { allowed = false, reason = null } = {}) {
  if (!status) return { word: "expired", tone: "idle", mark: "?" };
  const [word, tone, mark] = WORDS[status] ?? [status, "idle", "?"];
  if (reason === "approval" && status === "deferred") return { word: "approval", tone: "wait", mark: "‖" };
  return allowed && status === "failed" ? { word: "failed, allowed", tone: "wait", mark } : { word, tone, mark };
}

export const reasonText = (reason) => (!reason || QUIET.has(reason) ? "" : REASONS[reason] ?? reason.replaceAll("_", " "));

// A word with its mark, in the colours of a tone.
export const Badge = ({ tone, mark, small, children }) => html`<span class=${`status is-${tone}${small ? " status-small" : ""}`}><span class="mark" aria-hidden="true">${mark}</span>${children}</span>`;
export const Invalid = () => html`<${Badge} tone="bad" mark="✖">not valid<//>`;
export const Paused = () => html`<${Badge} tone="wait" mark="‖">paused<//>`;

export function Status({ status, allowed, reason, orphaned, canceling, small }) {
  const { word, tone, mark } = look(status, { allowed, reason });
  const text = canceling ? "canceling" : orphaned ? "no worker" : word;
  return html`<${Badge} tone=${orphaned ? "wait" : tone} mark=${mark} small=${small}>${text}<//>`;
}

// How the jobs of a run stand, as one bar; its text says the same.
const ORDER = ["finished", "failed", "stopped", "canceled", "started", "queued", "scheduled", "rate_limited", "deferred", "created", "skipped"];

export function countsText(counts) {
  const sums = new Map();
  for (const status of ORDER) if (counts[status]) sums.set(look(status).word, (sums.get(look(status).word) ?? 0) + counts[status]);
  return [...sums].map(([word, count]) => `${count} ${word}`).join(", ");
}

// `run.counts` without the jobs that were not to run at all (`not_needed`): not selected, or handlers for another outcome.
export const neededCounts = ({ counts = {}, not_needed = 0 }) => ({ ...counts, skipped: Math.max(0, (counts.skipped ?? 0) - not_needed) });

export function JobsBar({ run, size }) {
  const counts = neededCounts(run);
  const parts = ORDER.filter((status) => counts[status]);
  const all = Math.max((size ?? 0) - (run.not_needed ?? 0), parts.reduce((sum, status) => sum + counts[status], 0)) || 1;
  return html`<span class="jobsbar" title=${countsText(counts)}>
    <span class="jobsbar-track" aria-hidden="true">${parts.map((status) => html`<i class=${`fill-${look(status).tone}`} style=${{ width: `${(100 * counts[status]) / all}%` }}></i>`)}</span>
    <span class="num">${counts.finished ?? 0}/${all}</span><span class="sr">${countsText(counts)}</span>
  </span>`;
}
