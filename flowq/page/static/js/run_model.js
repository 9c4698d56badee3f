// A run as its page has it: the document without jobs, the table of all jobs, and messages of the stream applied to both.
import { get, query } from "./api.js";
import { useCallback, useEffect, useRef, useState } from "./html.js";
import { useTopic } from "./live.js";
import { runPath } from "./router.js";
import { ENDED, look } from "./status.js";

// The jobs of a run: rows as objects, found by ordinal.
export class Jobs {
  constructor(columns, rows) {
    this.rows = rows.map((row) => Object.fromEntries(columns.map((column, index) => [column, row[index]])));
    this.byOrdinal = new Map(this.rows.map((row) => [row.ordinal, row]));
  }

  // Apply [ordinal, status, reason, attempt, at]; return whether all of the jobs were known.
  apply(changes) {
    let known = true;
    for (const [ordinal, status, reason, attempt, at] of changes) {
      const row = this.byOrdinal.get(ordinal);
      if (!row) { known = false; continue; }
      if (row.status !== status) {
        if (status === "started") { row.started_at = at; row.ended_at = null; row.duration = null; }
        if (ENDED.has(status)) {
          row.ended_at = at;
          if (row.started_at) row.duration = (Date.parse(at) - Date.parse(row.started_at)) / 1000;
        }
      }
      row.status = status;
      row.reason = reason;
      row.attempts = Math.max(row.attempts ?? 0, attempt ?? 0);
    }
    return known;
  }

  states(ordinals) {
    return ordinals.map((ordinal) => this.byOrdinal.get(ordinal)).filter(Boolean);
  }
}

// The status of a group of jobs: the most important one, as in `matrix_status` of the server.
export function statusOf(jobs) {
  const found = new Set(jobs.map((job) => (job.allowed ? "finished" : job.status)));
  for (const status of ["failed", "stopped", "started", "scheduled", "queued"]) if (found.has(status)) return status;
  if (found.has("deferred") && found.size > 1) return "started";
  for (const status of ["deferred", "canceled", "finished", "skipped"]) if (found.has(status)) return status;
  return [...found][0] ?? null;
}

// What a box of a graph shows: the status of its jobs, and how many of several have ended.
export function paint(box, states) {
  const jobs = states(box);
  if (!jobs.length) return { word: "", tone: "plain", mark: "", note: "" };
  if (jobs.length === 1) return { ...look(jobs[0].status, jobs[0]), note: "" };
  const done = jobs.filter((job) => ENDED.has(job.status)).length;
  const shown = look(statusOf(jobs));
  const word = shown.tone === "bad" && done < jobs.length ? "failing" : shown.word; // others go on
  return { ...shown, word, note: `${done}/${jobs.length}` };
}

export function useRun(id) {
  const [state, setState] = useState({ run: null, jobs: null, error: null, version: 0 });
  const current = useRef(state);
  const timers = useRef({ run: 0, jobs: 0, paint: 0 });

  const show = useCallback((changes) => {
    current.current = { ...current.current, ...changes, version: current.current.version + 1 };
    if (timers.current.paint) return;
    timers.current.paint = requestAnimationFrame(() => { timers.current.paint = 0; setState(current.current); });
  }, []);

  const loadRun = useCallback(async () => {
    try {
      show({ run: await get(runPath(id)), error: null });
    } catch (error) {
      show(error.status === 404 ? { error, run: null } : { error: current.current.run ? null : error });
    }
  }, [id]);
  const loadJobs = useCallback(async () => {
    try {
      const table = await get(`${runPath(id)}/jobs${query({ limit: 20000 })}`);
      show({ jobs: new Jobs(table.columns, table.rows) });
    } catch { /* the document says what is wrong */ }
  }, [id]);

  const later = useCallback((what, load, pause) => {
    if (timers.current[what]) return;
    timers.current[what] = setTimeout(() => { timers.current[what] = 0; load(); }, pause);
  }, []);
  const reload = useCallback(() => Promise.all([loadRun(), loadJobs()]), [loadRun, loadJobs]);

  useEffect(() => {
    reload();
    return () => {
      clearTimeout(timers.current.run);
      clearTimeout(timers.current.jobs);
      cancelAnimationFrame(timers.current.paint);
      timers.current = { run: 0, jobs: 0, paint: 0 };
    };
  }, [reload]);

  useTopic(`run:${id}`, (message) => {
    if (message.reset) { later("run", loadRun, 50); later("jobs", loadJobs, 50); return; }
    const { run, jobs } = current.current;
    if (!run) return;
    const changes = message.jobs ?? [];
    const known = jobs ? jobs.apply(changes) : true;
    const ended = message.status && ENDED.has(message.status);
    show({ run: { ...run, status: message.status ?? run.status, counts: message.counts ?? run.counts, not_needed: message.not_needed ?? run.not_needed } });
    if (!known || ended) later("jobs", loadJobs, ended ? 150 : 800);
    // Errors, workers and allowed failures are in no message: the table is read again, seldom.
    else if (changes.some(([, status]) => status === "failed" || status === "started" || status === "deferred")) later("jobs", loadJobs, jobs && jobs.rows.length > 2000 ? 5000 : 1500);
    if (ended || (message.status && message.status !== run.status)) later("run", loadRun, 150);
    else later("run", loadRun, 3000);
  }, [id]);

  return { ...state, reload };
}
