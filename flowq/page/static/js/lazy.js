// Parts of the page that are loaded when they are first shown.
import { away } from "./api.js";
import { html, useEffect, useState } from "./html.js";
import { Waiting } from "./parts.js";

// What loads a component of a module, once. An address that is gone belongs to an earlier version of the server: the document is read again.
export function lazily(load, name) {
  let found = null;
  return () => {
    found ??= load().then((module) => module[name], (error) => {
      found = null;
      if (navigator.onLine && !away.get()) location.reload();
      throw error;
    });
    return found;
  };
}

// The component of `load` with all other properties.
export function Later({ load, ...rest }) {
  const [found, setFound] = useState(null);
  useEffect(() => {
    let current = true;
    load().then((View) => { if (current) setFound(() => View); }, () => null);
    return () => { current = false; };
  }, [load]);
  return found ? html`<${found} ...${rest} />` : html`<${Waiting} />`;
}
