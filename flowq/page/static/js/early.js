// Runs before anything is drawn: the theme that was chosen, so that the page never flashes in the other one, and the first documents, which
// come while the modules are compiled. `api.js` takes each of them once.
(() => {
  let theme = null;
  try { theme = localStorage.getItem("flowq-theme"); } catch { /* no storage: the system's */ }
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  if (location.hash.includes("token=")) return; // the page signs in first
  const prefix = document.querySelector('meta[name="flowq-prefix"]').content;
  const path = location.pathname.slice(prefix.length);
  const wanted = ["/session", "/info", "/attention"];
  const [, run, tab = "graph"] = /^\/runs\/([^/]+)(?:\/([a-z]+))?$/.exec(path) ?? [];
  if (run) {
    wanted.push(`/runs/${run}`, `/runs/${run}/jobs?limit=20000`);
    if (tab === "graph") wanted.push(`/runs/${run}/graph?fold=1`);
  } else if (path === "/runs" && !location.search) wanted.push("/runs?limit=50");
  else if (/^\/(flows|schedules|queues|workers)$/.test(path)) wanted.push(path);
  const ask = (name) => fetch(`${prefix}/api/v1${name}`, { headers: { Accept: "application/json" }, credentials: "same-origin" }).catch(() => null);
  globalThis.early = new Map(wanted.map((name) => [name, ask(name)]));
})();
