// Approve or reject, with a comment.
import { post } from "../api.js";
import { html, useState } from "../html.js";
import { Action, Button, Dialog, may, say } from "../parts.js";

export function Decide({ run, job, name, message, done }) {
  const [decision, setDecision] = useState(null);
  const [comment, setComment] = useState("");
  if (!may("operator")) return null;
  const send = async () => {
    await post(`/runs/${encodeURIComponent(run)}/jobs/${encodeURIComponent(job)}/approve`, { decision, comment });
    say(`${name}: ${decision}`);
    setDecision(null);
    done?.();
  };
  const approves = decision === "approved";
  return html`<span class="buttons">
    <${Button} small write kind="main" aria-label=${`Approve ${name}`} onClick=${() => setDecision("approved")}>Approve<//>
    <${Button} small write kind="danger" aria-label=${`Reject ${name}`} onClick=${() => setDecision("rejected")}>Reject<//>
    ${decision ? html`<${Dialog} title=${`${approves ? "Approve" : "Reject"} ${name}`} onClose=${() => setDecision(null)} footer=${html`
      <${Button} onClick=${() => setDecision(null)}>Back<//><${Action} kind=${approves ? "main" : "danger"} run=${send}>${approves ? "Approve" : "Reject"}<//>`}>
      ${message ? html`<p class="wraps">${message}</p>` : null}
      <label class="field"><span class="name">Comment <span class="muted">optional</span></span>
        <textarea class="input" rows="3" maxlength="1000" value=${comment} onInput=${(event) => setComment(event.target.value)}></textarea></label><//>` : null}
  </span>`;
}
