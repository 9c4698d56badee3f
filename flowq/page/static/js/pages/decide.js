// Approve or reject, with a comment.
import { post } from "../api.js";
import { html, useState } from "../html.js";
import { Button, Confirm, Field, may, say } from "../parts.js";

export function Decide({ run, job, name, message, done }) {
  const [decision, setDecision] = useState(null);
  const [comment, setComment] = useState("");
  if (!may("operator")) return null;
  const send = async () => {
    await post(`/runs/${encodeURIComponent(run)}/jobs/${encodeURIComponent(job)}/approve`, { decision, comment });
    say(`${name}: ${decision}`);
    done?.();
  };
  const approves = decision === "approved";
  const verb = approves ? "Approve" : "Reject";
  return html`<span class="buttons">
    <${Button} small write kind="main" aria-label=${`Approve ${name}`} onClick=${() => setDecision("approved")}>Approve<//>
    <${Button} small write kind="danger" aria-label=${`Reject ${name}`} onClick=${() => setDecision("rejected")}>Reject<//>
    ${decision ? html`<${Confirm} title=${`${verb} ${name}`} action=${verb} kind=${approves ? "main" : "danger"} run=${send} onClose=${() => setDecision(null)}>
      ${message ? html`<p class="wraps">${message}</p>` : null}
      <${Field} title="Comment" note="optional"><textarea class="input" rows="3" maxlength="1000" value=${comment} onInput=${(event) => setComment(event.target.value)}></textarea><//><//>` : null}
  </span>`;
}
