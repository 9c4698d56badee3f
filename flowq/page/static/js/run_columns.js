// Columns of tables of runs.
import { html } from "./html.js";
import { Chips } from "./parts.js";
import { Link, runPath } from "./router.js";
import { JobsBar, Status } from "./status.js";
import { Time, Took, secondsBetween } from "./time.js";

const SHORT = 40; // characters of a param

const COLUMNS = {
  Run: [(run) => html`<${Link} to=${runPath(run.id)}>${run.flow}<//> <span class="muted mono">${run.id}</span>`, { main: true }],
  Status: [(run) => html`<${Status} status=${run.status} orphaned=${run.orphaned} canceling=${run.canceling} />`],
  Jobs: [(run) => html`<${JobsBar} run=${run} size=${run.total} />`],
  Params: [(run) => html`<${Chips} values=${run.params} most=${SHORT} />`],
  Started: [(run) => html`<${Time} at=${run.started_at ?? run.created_at} />`],
  Ended: [(run) => html`<${Time} at=${run.ended_at} />`],
  Took: [(run, now) => html`<${Took} seconds=${secondsBetween(run.started_at, run.ended_at, now)} />`, { right: true }],
};

// A column by its title. `now`: until when runs in progress took; `title`: another one.
export const column = (name, now = 0, title = name) => [title, (run) => COLUMNS[name][0](run, now), COLUMNS[name][1]];
