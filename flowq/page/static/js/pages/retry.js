// What a retry would do, shown first; then it is done.
import { post } from "../api.js";
import { html, useEffect, useState } from "../html.js";
import { Confirm, plural } from "../parts.js";
import { runPath } from "../router.js";

export function Retry({ run, jobs = null, onClose, reload }) {
  const [plan, setPlan] = useState(null);
  const [error, setError] = useState(null);
  const body = jobs ? { jobs } : { failed: true };
  useEffect(() => {
    post(`${runPath(run.id)}/retry`, { ...body, dry_run: true }).then(setPlan, setError);
  }, []);
  const again = plan?.jobs ?? [];
  const retry = async () => {
    await post(`${runPath(run.id)}/retry`, body);
    await reload();
  };
  return html`<${Confirm} title=${jobs ? `Retry ${jobs.join(", ")}?` : "Retry the failed jobs?"} action="Retry" onClose=${onClose} run=${retry}>
    ${error ? html`<p class="note note-bad">${error.message}</p>` : !plan ? html`<p aria-busy="true">…</p>` : html`
      <p>${plural(again.length, "job runs", "jobs run")} again:</p>
      <ul class="scrolllist">${again.slice(0, 200).map((job) => html`<li key=${job.name}><span class="mono">${job.name}</span> <span class="muted">${job.reason}</span></li>`)}</ul>${again.length > 200 ? html`<p class="muted">and ${again.length - 200} more</p>` : null}`}<//>`;
}
