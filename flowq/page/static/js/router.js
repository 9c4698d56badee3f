// Addresses: the page keeps its whole state in them, so that back, forward, reload and a sent link all work.
import { prefix, query } from "./api.js";
import { html } from "./html.js";
import { observable, useObservable } from "./store.js";

const read = () => ({
  path: location.pathname.startsWith(prefix) ? location.pathname.slice(prefix.length) || "/" : location.pathname,
  search: Object.fromEntries(new URLSearchParams(location.search)),
});

export const place = observable(read());
export const usePlace = () => useObservable(place);

addEventListener("popstate", () => place.set(read()));

export function navigate(path, { replace = false, search = null } = {}) {
  const to = prefix + path + (search ? query(search) : "");
  if (to === location.pathname + location.search) return;
  history[replace ? "replaceState" : "pushState"]({}, "", to);
  const before = place.get().path;
  place.set(read());
  if (place.get().path !== before && !replace) scrollTo(0, 0);
}

// Change some parameters of the present address; null removes one.
export function setSearch(changes, { replace = true } = {}) {
  const { path, search } = place.get();
  navigate(path, { replace, search: { ...search, ...changes } });
}

export function Link({ to, search, children, ...rest }) {
  const target = to + (search ? query(search) : "");
  const click = (event) => {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    navigate(to, { search });
  };
  return html`<a href=${prefix + target} onClick=${click} ...${rest}>${children}</a>`;
}

export const runPath = (id, tab = "") => `/runs/${encodeURIComponent(id)}${tab ? `/${tab}` : ""}`;
