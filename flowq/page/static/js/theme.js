// Runs before the first paint: the theme that was chosen, so that the page never flashes in the other one.
(() => {
  let theme = null;
  try { theme = localStorage.getItem("flowq-theme"); } catch { /* no storage: the system's */ }
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
})();
