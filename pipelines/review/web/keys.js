// Every key in one table, from which the help sheet is made.

import { by, fill, h } from "./dom.js";

const table = [];

/** A key. `where`: gallery, viewer or any; `up`: what happens when it is let go. */
export function key(keys, where, label, run, up = null) {
  table.push({ keys: [keys].flat(), where, label, run, up });
}

const typing = (target) =>
  target instanceof HTMLElement && (target.matches("textarea, select, [contenteditable]") || (target.matches("input") && !["checkbox", "range", "radio"].includes(target.type)));

const NAMES = { " ": "Space", ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Escape: "Esc" };
const named = (name) => NAMES[name] ?? (/^[A-Z]$/.test(name) ? `Shift ${name}` : name.length === 1 ? name.toUpperCase() : name);

/** @param place gives `gallery` or `viewer`. */
export function startKeys(place) {
  const find = (event) => {
    const pressed = event.key.length === 1 && !event.shiftKey ? event.key.toLowerCase() : event.key;
    return table.find((each) => (each.where === "any" || each.where === place()) && each.keys.includes(pressed));
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey && event.key === "Enter" && event.target.id === "note") return;
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (typing(event.target)) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const found = find(event);
    const own = event.target instanceof HTMLElement && event.target.matches("button, summary, input, a, video");
    if (!found || (own && (event.key === " " || event.key === "Enter"))) return;
    if (event.target instanceof HTMLElement && event.target.matches("input[type=range], video") && event.key.startsWith("Arrow")) return;
    event.preventDefault();
    if (!(event.repeat && found.up)) found.run(event);
  });
  document.addEventListener("keyup", (event) => {
    const found = find(event);
    if (found?.up) found.up(event);
  });
  window.addEventListener("blur", () => table.forEach((each) => each.up?.()));
  // A tool that was clicked does not keep Space for itself; one that was reached by Tab does.
  document.addEventListener("click", (event) => event.detail > 0 && event.target.closest?.(".tool, .cell, .quiet, .decide")?.blur());
  key("?", "any", "Show or hide this sheet", toggleHelp);
  by("help-open").addEventListener("click", toggleHelp);
  by("help").addEventListener("keydown", (event) => event.key === "?" && by("help").close());
}

function toggleHelp() {
  const sheet = by("help");
  if (sheet.open) return sheet.close();
  const part = (title, where) =>
    h("section", {}, h("h3", { text: title }), h("dl", { class: "keys" }, ...table.filter((each) => each.where === where).flatMap((each) => [h("dt", {}, ...each.keys.map((one) => h("kbd", { text: named(one) }))), h("dd", { text: each.label })])));
  fill(
    sheet,
    h("h2", { id: "help-title", text: "Keys" }),
    h("div", { class: "help-parts" }, part("In the gallery", "gallery"), part("With one photograph or film", "viewer"), part("Everywhere", "any")),
    h("p", { class: "soft", text: "Selected in the gallery with Shift or Ctrl and a click, several are decided on at once." }),
    h("form", { method: "dialog", class: "dialog-foot" }, h("button", { class: "first", text: "Close", autofocus: true })),
  );
  sheet.showModal();
}
