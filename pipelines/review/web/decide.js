// Decisions: of one, of those that are selected, of all that are shown; redo with other settings; undo; the reviewer's name.

import * as api from "./api.js";
import { by, fill, h, keep, kept, toast, whole } from "./dom.js";
import { description } from "./filters.js";
import { emit, state, takeDecisions, WORDS } from "./state.js";

let sending = Promise.resolve();

/** Record a decision about some items. Resolves to whether it was recorded. */
export async function decide(ids, decision, { note = "", settings = {}, quiet = false } = {}) {
  if (!ids.length) return false;
  if (!state.reviewer && !(await askName())) return false;
  const body = { items: ids, decision, reviewer: state.reviewer, note, settings };
  const sent = sending.then(() => api.decide(body)); // one after another, in the order of the keys
  sending = sent.catch(() => null);
  try {
    const answer = await sent;
    takeDecisions(answer.decisions);
    if (decision !== "undo") state.undoable.push({ ids, decision, reviewer: body.reviewer });
    emit("decisions");
    if (!quiet) {
      const what = ids.length === 1 ? state.byId.get(ids[0])?.name ?? "" : `${whole(answer.made)} items`;
      const said = decision === "undo" ? (answer.made ? "Taken back" : "There is nothing to take back") : WORDS[decision];
      toast(`${said}: ${what}`, { action: decision === "undo" ? null : { label: "Undo", run: undo } });
    }
    return true;
  } catch (error) {
    toast(error.message, { bad: true });
    return false;
  }
}

/** Take back what was decided last on this page; else what holds of the items that are given. */
export async function undo(ids = null) {
  if (Array.isArray(ids)) return decide(ids, "undo");
  const last = state.undoable.pop();
  if (!last) return toast("Nothing was decided on this page yet");
  // What another has decided since is not ours to take back unseen.
  const ours = last.ids.filter((id) => state.decisions[id]?.[0] === last.decision && state.decisions[id]?.[1] === last.reviewer);
  if (!ours.length) return toast("Another reviewer has decided about that since", { bad: true });
  return decide(ours, "undo");
}

/** Opens a form of settings for redo. `detail` is what the server says of the first of the items. */
export function askRedo(ids, detail) {
  const { fields, now } = detail.redo;
  const controls = new Map();
  const rows = Object.entries(fields).map(([name, field]) => {
    const control = controlOf(name, field, now[name]);
    controls.set(name, control);
    const was = now[name];
    return h("label", { class: "setting" }, h("span", { class: "setting-name", text: name.replaceAll("_", " ") }), control, h("span", { class: "setting-about", text: `${field.description}${was === undefined ? "" : ` It was ${was === "" ? "empty" : was}.`}` }));
  });
  const note = h("textarea", { rows: 2, maxLength: 10000, placeholder: "What should be better? (optional)", "aria-label": "Note" });
  const problem = h("p", { class: "problem-line", role: "alert" });
  const form = h(
    "form",
    { method: "dialog" },
    h("h2", { id: "redo-title", text: ids.length === 1 ? "Make it again with other settings" : `Make ${whole(ids.length)} again with other settings` }),
    h("p", { class: "soft", text: "The next run does it. Leave as it is what should stay as it is." }),
    h("div", { class: "settings" }, ...rows.slice(0, 6)),
    rows.length > 6 && h("details", {}, h("summary", { text: "More settings" }), h("div", { class: "settings" }, ...rows.slice(6))),
    note,
    problem,
    h("div", { class: "dialog-foot" }, h("button", { type: "button", text: "Cancel", on: { click: () => by("redo").close() } }), h("button", { type: "submit", class: "first", text: "Redo with these settings" })),
  );
  return new Promise((done) => {
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const settings = {};
      for (const [name, control] of controls) if (control.value !== "") settings[name] = valueOf(control);
      if (!Object.keys(settings).length) {
        problem.textContent = "Choose at least one setting: with none the result would be the same.";
        return;
      }
      if (await decide(ids, "redo", { note: note.value, settings })) {
        done(true);
        by("redo").close();
      } else problem.textContent = by("toast").textContent;
    });
    by("redo").addEventListener("close", () => done(false), { once: true });
    fill(by("redo"), form);
    by("redo").showModal();
    [...controls.values()][0]?.focus();
  });
}

function controlOf(name, field, now) {
  const choices = field.enum ?? (field.type === "boolean" ? ["true", "false"] : null);
  if (choices) {
    return h("select", { data: { setting: name, type: field.type ?? "string" } }, h("option", { value: "", text: "as it is" }), ...choices.map((choice) => h("option", { value: choice, text: String(choice) })));
  }
  const number = field.type === "integer" || field.type === "number";
  const low = field.minimum ?? field.exclusiveMinimum;
  const high = field.maximum ?? field.exclusiveMaximum;
  const limits = number && low !== undefined && high !== undefined && high < 1e6 ? `${low} to ${high}` : "as it is";
  return h("input", { type: number ? "number" : "text", step: field.type === "integer" ? "1" : "any", placeholder: now === undefined ? limits : String(now), data: { setting: name, type: field.type ?? "string" }, autocomplete: "off" });
}

function valueOf(control) {
  if (control.dataset.type === "boolean") return control.value === "true";
  return ["integer", "number"].includes(control.dataset.type) ? Number(control.value) : control.value;
}

/** Asks before one decision is recorded about all that are shown. */
export function askBatch(all, detail) {
  const ids = all.filter((id) => state.byId.get(id)?.status === "restored");
  const left = all.length - ids.length;
  const count = whole(ids.length);
  if (!ids.length) return toast("None of those that are shown has a result");
  const choices = [
    ["accept", `Accept ${count}`],
    ["reject", `Reject ${count}`],
    ["undo", `Take back the decisions on ${count}`],
    ["redo", `Redo ${count} with other settings…`],
  ].map(([value, text], at) => h("label", { class: "choice" }, h("input", { type: "radio", name: "batch", value, checked: at === 0 }), h("span", { text })));
  const note = h("textarea", { rows: 2, maxLength: 10000, placeholder: "Why (optional)", "aria-label": "Note" });
  const confirm = h("button", { type: "submit", class: "first", text: `Accept ${count} items` });
  const form = h(
    "form",
    { method: "dialog" },
    h("h2", { id: "batch-title", text: `Decide on ${count} ${ids.length === 1 ? "item" : "items"} at once` }),
    h("p", { class: "soft", text: `All that are shown now: ${description()}.${left ? ` ${whole(left)} without a result ${left === 1 ? "is" : "are"} left out.` : ""}` }),
    h("div", { class: "choices", role: "radiogroup", "aria-label": "Decision" }, ...choices),
    note,
    h("div", { class: "dialog-foot" }, h("button", { type: "button", text: "Cancel", on: { click: () => by("batch").close() } }), confirm),
  );
  const chosen = () => form.querySelector("input[name=batch]:checked").value;
  form.addEventListener("change", () => {
    const words = { accept: `Accept ${count} items`, reject: `Reject ${count} items`, undo: `Take back ${count} decisions`, redo: "Choose settings…" };
    confirm.textContent = words[chosen()];
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const decision = chosen();
    by("batch").close();
    if (decision === "redo") await askRedo(ids, await detail());
    else await decide(ids, decision, { note: note.value });
  });
  fill(by("batch"), form);
  by("batch").showModal();
}

/** Asks for the reviewer's name; resolves to it, or to nothing. */
export function askName() {
  const field = h("input", { type: "text", value: state.reviewer, maxLength: 100, required: true, "aria-label": "Your name", autocomplete: "name" });
  const form = h(
    "form",
    { method: "dialog" },
    h("h2", { id: "name-title", text: "Who decides here?" }),
    h("p", { class: "soft", text: "Your name stands beside each decision that you make." }),
    field,
    h("div", { class: "dialog-foot" }, h("button", { type: "button", text: "Cancel", on: { click: () => by("name").close() } }), h("button", { type: "submit", class: "first", text: "Use this name" })),
  );
  return new Promise((done) => {
    form.addEventListener("submit", () => setName(field.value));
    by("name").addEventListener("close", () => done(state.reviewer), { once: true });
    fill(by("name"), form);
    by("name").showModal();
    field.select();
  });
}

export function setName(name) {
  state.reviewer = name.trim();
  keep("reviewer", state.reviewer);
  by("who").textContent = state.reviewer || "Your name?";
  by("who").setAttribute("aria-label", `Reviewer: ${state.reviewer || "nobody yet"}. Change it`);
}

export function startDecisions(fallback) {
  setName(kept("reviewer") || fallback);
  by("who").addEventListener("click", askName);
}
