// The form that takes a token.
import { post, session, whoami } from "../api.js";
import { html, useState } from "../html.js";
import { Field } from "../parts.js";

export function LoginPage() {
  const [error, setError] = useState("");
  const [busy, setBusy] = useState(false);
  const submit = async (event) => {
    event.preventDefault();
    setBusy(true);
    try {
      await post("/session", { token: event.target.elements.token.value.trim() });
      session.set(await whoami());
    } catch (failure) {
      setError(failure.message);
      setBusy(false);
    }
  };
  return html`<main class="login"><form class="card" onSubmit=${submit}>
    <div class="body">
      <h1><img src=${document.querySelector('link[rel="icon"]').href} alt="" width="24" height="24" /> flowq</h1>
      <${Field} title="Token"><input class="input mono" name="token" type="password" autocomplete="current-password" required autofocus aria-invalid=${Boolean(error)} aria-describedby="login-hint" /><//>
      ${error ? html`<p class="note note-bad" role="alert">${error}</p>` : null}
      <p class="muted" id="login-hint">The server printed the first one when it started. <code>flowq token create</code> makes others.</p>
      <button class="button button-main" disabled=${busy}>Log in</button>
    </div></form></main>`;
}
