// Documents of the API as components use them: read once, kept when the server is away, read again when it says that they changed.
import { get, getIfChanged } from "./api.js";
import { useCallback, useEffect, useRef, useState } from "./html.js";
import { useTopic } from "./live.js";

// All parts of a list as one document.
async function whole(path, options) {
  const found = await get(path, {}, options);
  for (let { next } = found; next; ) {
    const part = await get(path, { cursor: next }, options);
    found.items.push(...part.items);
    next = part.next;
  }
  return found;
}

// { data, error, loading, reload } of GET `path`; null reads nothing. Messages of `topic` cause another reading, at most one per `pause` ms,
// and another `version` one at once.
export function useDocument(path, { topic = null, pause = 400, etag = false, all = false, on = null, version = null } = {}) {
  const [state, setState] = useState({ path: null, data: null, error: null });
  const tags = useRef(new Map());
  const running = useRef(null);
  const timer = useRef(0);

  const load = useCallback(async () => {
    if (!path) return;
    running.current?.abort();
    const mine = (running.current = new AbortController());
    try {
      const data = etag ? await getIfChanged(path, tags.current, mine.signal)
        : all ? await whole(path, { signal: mine.signal }) : await get(path, {}, { signal: mine.signal });
      if (data !== undefined) setState({ path, data, error: null });
    } catch (error) {
      if (error.name === "AbortError") return;
      setState((before) => ({ path, data: before.path === path ? before.data : null, error }));
    }
  }, [path, version]);
  // An action may end after the page has moved on to another path: that is what it reloads then.
  const latest = useRef(load);
  latest.current = load;
  const reload = useCallback(() => latest.current(), []);

  const soon = useCallback(() => {
    if (timer.current) return;
    timer.current = setTimeout(() => { timer.current = 0; load(); }, pause);
  }, [load, pause]);

  useEffect(() => {
    load();
    return () => { running.current?.abort(); clearTimeout(timer.current); timer.current = 0; };
  }, [load]);
  useTopic(path ? topic : null, (message) => { if (message.reset || !on || on(message) !== false) soon(); }, [soon]);

  const own = state.path === path ? state : { data: null, error: null };
  return { data: own.data, error: own.error, loading: Boolean(path) && !own.data && !own.error, reload };
}

// The present moment, once a second while `running`: for durations that grow.
export function useNow(running) {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    if (!running) return undefined;
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, [running]);
  return now;
}

export function useAfter(value, ms) {
  const [late, setLate] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setLate(value), ms);
    return () => clearTimeout(timer);
  }, [value, ms]);
  return late;
}
