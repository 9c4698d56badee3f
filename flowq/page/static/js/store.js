// State that several components read: a value, who is told of its changes, and what of it the browser remembers.
import { useEffect, useReducer } from "./html.js";

export function observable(first) {
  let value = first;
  const listeners = new Set();
  return {
    get: () => value,
    set(next) {
      if (Object.is(next, value)) return;
      value = next;
      for (const listener of [...listeners]) listener();
    },
    listen(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

// A value that survives a reload. Storage may be forbidden: then it lives as long as the tab.
export function remembered(key, first) {
  let stored = null;
  try { stored = localStorage.getItem(`flowq-${key}`); } catch { /* forbidden */ }
  const state = observable(stored ?? first);
  state.listen(() => {
    try { localStorage.setItem(`flowq-${key}`, state.get()); } catch { /* forbidden */ }
  });
  return state;
}

export function useObservable(state) {
  const [, again] = useReducer((n) => n + 1, 0);
  useEffect(() => state.listen(() => again()), [state]);
  return state.get();
}
