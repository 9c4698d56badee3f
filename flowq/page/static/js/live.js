// One stream of events per tab. Topics come and go with the components that want them; the stream is opened again when the set changes.
// It is read with fetch, not EventSource: a stream that is silent although the server speaks (a proxy buffers it) is noticed only that way.
import { away, heard, href, missed, query, session } from "./api.js";
import { useEffect } from "./html.js";
import { observable } from "./store.js";

export const stream = observable("off"); // live, polling (no stream, documents are read every few seconds) or off

const SILENT = 35000; // ms without a byte: the server comments every 15 s
const POLL = 5000;
const RECENT = 4000; // ms: the server tells a new client what happened in the last 10 s; documents are up to 5 s older than a topic
const HIDDEN = 300000; // ms after which a hidden tab closes its stream
const listeners = new Map(); // topic -> set of functions
const waits = [500, 1000, 2000, 4000, 8000];

let reader = null; // the AbortController of the open stream
let position = "";
let since = null; // { position, at } when the first topic came that the open stream lacks: the next stream begins there
let failures = 0;
let opening = 0;
let last = 0;

const topics = () => [...listeners.keys()].sort().join(",");

function tell(message) {
  for (const listener of [...(listeners.get(message.topic) ?? [])]) listener(message);
}

// Everyone reads their documents again.
function resync() {
  for (const [topic, some] of listeners) for (const listener of [...some]) listener({ topic, reset: true });
}

function reopen(wait = 30) {
  clearTimeout(opening);
  opening = setTimeout(open, wait);
}

function close() {
  reader?.abort();
  reader = null;
}

async function open() {
  close();
  const wanted = topics();
  if (!wanted || !session.get() || hidden) {
    stream.set("off");
    return;
  }
  const mine = (reader = new AbortController());
  let wait;
  try {
    wait = await listen(mine, wanted);
  } catch (error) {
    if (mine.signal.aborted && mine !== reader) return;
    if (error?.away) missed();
  }
  if (mine !== reader) return; // another one has taken its place
  reader = null;
  stream.set("polling");
  failures += 1;
  reopen(wait ?? waits[Math.min(failures, waits.length) - 1]);
}

async function listen(mine, wanted) {
  const begin = since;
  const from = begin ? begin.position : position;
  const headers = { Accept: "text/event-stream", ...(from ? { "Last-Event-ID": from } : {}) };
  let response;
  try {
    response = await fetch(href(`/events${query({ topics: wanted })}`), { headers, signal: mine.signal, credentials: "same-origin" });
  } catch (error) {
    throw Object.assign(error, { away: !mine.signal.aborted });
  }
  if (response.status === 401) { session.set(null); return 60000; }
  if (!response.ok) return undefined;
  const source = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let first = true;
  last = Date.now();
  for (;;) {
    const { value, done } = await source.read();
    if (done) return undefined;
    last = Date.now();
    heard();
    if (first) {
      first = false; // what happened in between was not told:
      if (failures || (begin && !begin.position && Date.now() - begin.at > RECENT)) resync();
      if (since === begin) since = null;
      stream.set("live");
      failures = 0;
    }
    const blocks = (rest + value).replaceAll("\r\n", "\n").split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const wait = take(block);
      if (wait) return wait;
    }
  }
}

// Handle one event; a number says that the server closes, and when to come back (ms).
function take(block) {
  const event = { type: "message", data: [] };
  for (const line of block.split("\n")) {
    const [, key, value] = /^([a-z]*):? ?(.*)$/s.exec(line) ?? [];
    if (key === "id") position = value;
    else if (key === "event") event.type = value;
    else if (key === "data") event.data.push(value);
  }
  if (event.type === "reset") resync();
  else if (event.type === "bye") return 1500;
  else if (event.data.length) {
    try { tell(JSON.parse(event.data.join("\n"))); } catch { resync(); }
  }
  return 0;
}

let hidden = false;
let hiding = 0;
document.addEventListener("visibilitychange", () => {
  clearTimeout(hiding);
  if (document.hidden) {
    hiding = setTimeout(() => { hidden = true; close(); stream.set("off"); }, HIDDEN);
  } else if (hidden) {
    hidden = false;
    failures = 1;
    reopen();
  }
});

setInterval(() => {
  if (hidden || !session.get()) return;
  if (reader && stream.get() === "live" && Date.now() - last > SILENT) {
    close();
    stream.set("polling");
    reopen(1000);
  }
  if (stream.get() === "live" || !listeners.size) return;
  stream.set("polling");
  resync();
}, POLL);

session.listen(() => reopen());
away.listen(() => { if (!away.get()) resync(); });
addEventListener("pagehide", close);

function subscribe(topic, listener) {
  const fresh = !listeners.has(topic);
  if (fresh) listeners.set(topic, new Set());
  listeners.get(topic).add(listener);
  if (fresh) {
    since = { position, at: Date.now(), ...since }; // another object: a stream that is just opening lacks this topic, too
    reopen();
  }
  return () => {
    const some = listeners.get(topic);
    some?.delete(listener);
    if (some && !some.size) {
      listeners.delete(topic);
      reopen(300);
    }
  };
}

export function useTopic(topic, listener, inputs = []) {
  useEffect(() => (topic ? subscribe(topic, listener) : undefined), [topic, ...inputs]);
}
