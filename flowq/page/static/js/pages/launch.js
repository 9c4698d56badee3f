// The form that starts a run: made from the typed params, checked by the compiler on the server as one types.
import { get, post } from "../api.js";
import { useAfter, useDocument } from "../data.js";
import { html, useEffect, useMemo, useRef, useState } from "../html.js";
import { Action, Card, Waiting, may, plural } from "../parts.js";
import { kindOf, placeholder, read, readLabels, textOf } from "../launch_model.js";
import { Link, navigate, runPath, usePlace } from "../router.js";
import { formatDuration } from "../time.js";
import { Diagnostic } from "./flow.js";
import { flowPath } from "./flows.js";
import { Badge } from "../status.js";

export function LaunchPage({ args: [part] }) {
  const { data, error } = useDocument(`/flows/${part}`);
  const { search } = usePlace();
  const [again, setAgain] = useState(search.again ? null : {});
  useEffect(() => {
    if (search.again) get(runPath(search.again)).then((run) => setAgain({ params: run.params, labels: run.labels }), () => setAgain({}));
  }, [search.again]);
  if (!data || !again) return html`<${Waiting} error=${error} what="This flow" />`;
  return html`<div class="pagehead"><h1>Launch ${data.name}</h1><span class="sub"><${Link} to=${flowPath(data.name)}>about the flow<//></span></div>
    ${may("operator") ? html`<${Form} part=${part} flow=${data} again=${again} />` : html`<p class="note">Your token may look only.</p>`}`;
}

// Two clicks are one run; another form is another run. `randomUUID` is there only on HTTPS and loopback.
const freshKey = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
const DEFAULTS = { until: [], jobs: [], stages: [], without: [] };

function Form({ part, flow, again }) {
  const [typed, setTyped] = useState(() => Object.fromEntries(flow.params.map((param) => [param.name, textOf(again.params?.[param.name])])));
  const [touched, setTouched] = useState(new Set());
  const [labels, setLabels] = useState(Object.entries(again.labels ?? {}).map(([key, value]) => `${key}=${value}`).join("\n"));
  const [selection, setSelection] = useState(DEFAULTS);
  const [cache, setCache] = useState(true);
  const [answer, setAnswer] = useState(null);
  const [failed, setFailed] = useState(null);
  const key = useRef(freshKey());
  const { values, problems } = useMemo(() => read(flow.params, typed), [flow, typed]);
  const given = readLabels(labels);
  const body = { params: values, labels: given.labels, selection, cache };
  const late = useAfter(JSON.stringify(body), 250);

  useEffect(() => {
    let current = true;
    post(`/flows/${part}/check`, JSON.parse(late)).then((found) => { if (current) { setAnswer(found); setFailed(null); } }, (error) => { if (current) { setAnswer(null); setFailed(error); } });
    return () => { current = false; };
  }, [late, part]);

  const type = (name) => (text) => {
    setTyped((before) => ({ ...before, [name]: text }));
    setTouched((before) => new Set(before).add(name));
  };
  const missing = Object.keys(problems).length > 0;
  const told = (name) => (answer?.diagnostics ?? []).filter((item) => item.severity === "error" && item.param === name).map((item) => item.message);
  const problem = (param) => {
    if (problems[param.name] && (touched.has(param.name) || !param.required)) return [problems[param.name]];
    return typed[param.name] === undefined && param.required ? [] : told(param.name);
  };
  const names = new Set(flow.params.map((param) => param.name));
  const others = (answer?.diagnostics ?? []).filter((item) => !names.has(item.param));
  const launch = async () => {
    setTouched(new Set(names));
    if (missing || given.problem) throw new Error("Some fields need another value.");
    const run = await post(`/flows/${part}/runs`, body, { headers: { "Idempotency-Key": key.current } });
    navigate(runPath(run.id));
  };
  const changed = useRef(late);
  if (changed.current !== late) { changed.current = late; key.current = freshKey(); }

  return html`<form class="launch" onSubmit=${(event) => { event.preventDefault(); document.getElementById("launch").click(); }}>
    <div class="stack">
      <${Card} title="Params" count=${flow.params.length}><div class="body params">${flow.params.length ? flow.params.map((param) => html`<${Field} key=${param.name} param=${param} text=${typed[param.name]} change=${type(param.name)} errors=${problem(param)} hint=${placeholder(param, answer?.params)} />`) : html`<p class="muted">This flow takes none.</p>`}</div><//>
      <${Card} title="Run"><div class="body">
        <label class="field"><span class="name">Labels <span class="muted">key=value, one a line</span></span><textarea class="input mono" rows="2" value=${labels} onInput=${(event) => setLabels(event.target.value)} aria-invalid=${Boolean(given.problem)}></textarea>
          ${given.problem ? html`<span class="error">${given.problem}</span>` : null}</label>
        ${flow.names.length > 1 ? html`<${Part} flow=${flow} selection=${selection} change=${setSelection} />` : null}
        <label class="check"><input type="checkbox" checked=${cache} onChange=${() => setCache(!cache)} /> jobs with <code>cache</code> may take over earlier results</label>
      </div><//>
    </div>
    <div class="stack side"><${Preview} answer=${answer} failed=${failed} others=${others} missing=${missing} />
      <div class="buttons"><${Action} kind="main" id="launch" run=${launch} disabled=${Boolean(failed) || (answer !== null && !answer.valid && !missing)}>Launch<//><${Link} class="button" to=${flowPath(flow.name)}>Back<//></div></div>
  </form>`;
}

function Part({ flow, selection, change }) {
  const kind = Object.keys(selection).find((name) => selection[name].length) ?? "";
  const [chosen, setChosen] = useState(kind);
  const values = chosen === "stages" ? flow.stages : flow.names;
  return html`<div class="field"><label class="name" for="part">Part of the flow</label><div class="filters">
    <select class="input" id="part" value=${chosen} onChange=${(event) => { setChosen(event.target.value); change(DEFAULTS); }}><option value="">all of it</option><option value="until">up to a job</option><option value="jobs">one job alone</option><option value="without">all but one job</option>${flow.stages.length ? html`<option value="stages">one stage</option>` : null}</select>
    ${chosen ? html`<select class="input" aria-label="Which one" value=${selection[chosen][0] ?? ""} onChange=${(event) => change({ ...DEFAULTS, [chosen]: event.target.value ? [event.target.value] : [] })}><option value="">choose …</option>${values.map((name) => html`<option value=${name}>${name}</option>`)}</select>` : null}</div></div>`;
}

function Preview({ answer, failed, others, missing }) {
  const jobs = answer?.plan?.jobs ?? [];
  return html`<${Card} title="Check"><div class="body stack" aria-live="polite">
    ${failed ? html`<p class="note note-bad wraps">${failed.message}</p>` : !answer ? html`<p class="muted" aria-busy="true">…</p>` : answer.valid ? html`<p><${Badge} tone="good" mark="✔">valid<//> <span class="num">${plural(jobs.length, "job")}</span>${answer.expected_seconds ? `, about ${formatDuration(answer.expected_seconds)}` : ""}</p>
      <ul class="scrolllist mono small">${jobs.slice(0, 100).map((job) => html`<li key=${job.name}>${job.name}${job.foreach ? html` <span class="muted">foreach</span>` : null}</li>`)}</ul>${jobs.length > 100 ? html`<p class="muted">and ${jobs.length - 100} more</p>` : null}`
      : html`<p><${Badge} tone="wait" mark="!">${missing ? "needs values" : "not valid"}<//></p>`}
    ${others.map((item) => html`<${Diagnostic} key=${`${item.code} ${item.line} ${item.message}`} item=${item} />`)}
  </div><//>`;
}

function Field({ param, text, change, errors, hint }) {
  const id = `param-${param.name}`;
  const limits = [param.min === null ? null : `at least ${param.min}`, param.max === null ? null : `at most ${param.max}`, param.pattern ? `matches ${param.pattern}` : null].filter(Boolean).join(", ");
  const described = `${errors.length ? `${id}-error ` : ""}${id}-hint`;
  return html`<div class=${`field${kindOf(param) === "json" ? " field-wide" : ""}`}><label class="name" for=${id}>${param.name} <span class="muted">${param.type}${param.required ? ", required" : ""}</span></label>
    <div class="fieldrow"><${Control} id=${id} param=${param} text=${text} change=${change} hint=${hint} invalid=${errors.length > 0} described=${described} />
      ${text !== undefined && text !== "" && !param.required ? html`<button type="button" class="button button-quiet button-small" onClick=${() => change(undefined)} aria-label=${`Clear ${param.name}: take the default`}>Clear</button>` : null}</div>
    ${errors.length ? html`<p class="error wraps" id=${`${id}-error`} role="alert">${errors.join(" ")}</p>` : null}
    <p class="hint wraps" id=${`${id}-hint`}>${[param.description, limits].filter(Boolean).join(" – ")}</p></div>`;
}

function Control({ id, param, text, change, hint, invalid, described }) {
  const common = { id, class: "input", "aria-invalid": invalid, "aria-describedby": described, "aria-required": param.required };
  const input = (event) => change(event.target.value);
  const auto = `default: ${hint}`;
  switch (kindOf(param)) {
    case "select":
      return html`<select ...${common} value=${text ?? ""} onChange=${(event) => change(event.target.value || undefined)}><option value="">${param.required ? "choose …" : auto}</option>${param.enum.map((value) => html`<option value=${String(value)} selected=${String(value) === text}>${String(value)}</option>`)}</select>`;
    case "boolean":
      return html`<select ...${common} value=${text ?? ""} onChange=${(event) => change(event.target.value || undefined)}><option value="">${param.required ? "choose …" : auto}</option><option value="true" selected=${text === "true"}>true</option><option value="false" selected=${text === "false"}>false</option></select>`;
    case "number":
      return html`<input ...${common} inputmode=${param.type === "integer" ? "numeric" : "decimal"} value=${text ?? ""} onInput=${input} placeholder=${hint} />`;
    case "date":
      return html`<input ...${common} type="date" value=${text ?? ""} onInput=${input} /><span class="muted small nowrap">${text ? "" : auto}</span>`;
    case "datetime":
      return html`<input ...${common} type="datetime-local" step="1" value=${text ?? ""} onInput=${input} /><span class="muted small nowrap">${text ? "" : auto}</span>`;
    case "json":
      return html`<textarea ...${common} class="input mono" rows="3" spellcheck="false" value=${text ?? ""} onInput=${input} placeholder=${hint}></textarea>`;
    default:
      return html`<input ...${common} value=${text ?? ""} onInput=${input} placeholder=${hint} spellcheck="false" autocomplete="off" />`;
  }
}
