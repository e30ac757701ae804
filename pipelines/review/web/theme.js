// Before anything is drawn: the theme that was chosen on this machine, else the system's.
(() => {
  let chosen = null;
  try {
    chosen = localStorage.getItem("faitharchive-theme");
  } catch { /* a browser that keeps nothing */ }
  const light = matchMedia("(prefers-color-scheme: light)").matches;
  document.documentElement.dataset.theme = chosen === "dark" || chosen === "light" ? chosen : light ? "light" : "dark";
})();
