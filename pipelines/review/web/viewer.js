// One photograph or film, large: the stage with its tools, the panel beside it, its neighbours below.

import * as api from "./api.js";
import { by, fill, h, keep, kept, quietly, toast, whole } from "./dom.js";
import { askRedo, decide, undo } from "./decide.js";
import { drawFacts } from "./panel.js";
import * as stage from "./stage.js";
import { on, SIGNS, standing, state, WORDS } from "./state.js";

const MODES = [["curtain", "Curtain", "C"], ["side", "Side by side", "S"], ["scan", "Scan", "1"], ["result", "Result", "2"], ["difference", "Difference", "D"]];
const NEIGHBOURS = 7;
let list = []; // what was shown in the gallery when the viewer was opened
let at = 0;
let number = 0; // of the frame or page
let detail = null;
let asked = 0;
const buttons = new Map();

export const isOpen = () => !by("viewer").hidden;
export const current = () => list[at] ?? null;
export const currentDetail = () => detail;

export function startViewer() {
  stage.startStage(showZoom);
  by("back").addEventListener("click", closeViewer);
  by("previous").addEventListener("click", () => step(-1));
  by("next").addEventListener("click", () => step(1));
  drawTools();
  drawPanel();
  on("decisions", () => {
    if (!isOpen()) return;
    drawStanding();
    drawStrip();
    refreshHistory();
  });
}

const refreshHistory = quietly(async () => {
  const item = current();
  if (!item) return;
  try {
    const found = await api.loadItem(item.id);
    if (current() === item) take(found);
  } catch { /* said elsewhere */ }
}, 150);

function drawTools() {
  const button = (text, title, run, more = {}) => h("button", { type: "button", class: "tool", text, title, on: { click: run }, ...more });
  const modes = MODES.map(([mode, label, letter]) => {
    const made = button(label, `${label} (${letter})`, () => setMode(mode), { "aria-pressed": String(stage.view.mode === mode) });
    buttons.set(mode, made);
    return made;
  });
  const overlays = [["damage", "Damage", "M"], ["trust", "Trust", "T"]].map(([name, label, letter]) => {
    const made = button(label, `Show the map of ${label.toLowerCase()} (${letter})`, () => toggleOverlay(name), { "aria-pressed": "false", hidden: true });
    buttons.set(name, made);
    return made;
  });
  fill(
    by("desk-foot"),
    h("div", { class: "group", role: "group", "aria-label": "View" }, ...modes),
    h("div", { class: "group", role: "group", "aria-label": "Maps" }, ...overlays),
    h("span", { class: "hint", text: "Hold Space for the scan" }),
    h("div", { class: "group", role: "group", "aria-label": "Zoom" }, button("Fit", "Fit (0)", () => stage.fit()), button("100%", "One pixel of the result to one of the screen (Z)", () => stage.zoomTo(1)), button("−", "Smaller (-)", () => stage.zoomBy(1 / 1.5), { "aria-label": "Zoom out" }), button("+", "Larger (+)", () => stage.zoomBy(1.5), { "aria-label": "Zoom in" }), h("output", { class: "zoom", id: "zoom", "aria-label": "Zoom" })),
  );
}

function drawPanel() {
  const note = h("textarea", { id: "note", rows: 2, maxLength: 10000, placeholder: "Note (N)", "aria-label": "Note for the next decision" });
  note.addEventListener("keydown", (event) => event.key === "Escape" && note.blur());
  const button = (decision, text, letter) => h("button", { type: "button", class: `decide ${decision}`, id: `decide-${decision}`, title: `${text} (${letter})`, on: { click: () => decideHere(decision) } }, h("span", { "aria-hidden": "true", text: SIGNS[decision] }), ` ${text} `, h("kbd", { "aria-hidden": "true", text: letter }));
  const advance = h("input", { type: "checkbox", id: "advance", checked: kept("advance") !== "no" });
  advance.addEventListener("change", () => keep("advance", advance.checked ? "yes" : "no"));
  fill(
    by("panel"),
    h("div", { class: "verdict" }, h("div", { class: "verdict-row" }, button("accept", "Accept", "A"), button("reject", "Reject", "R"), button("redo", "Redo…", "E")), note, h("div", { class: "verdict-row" }, h("label", { class: "choice" }, advance, h("span", { text: "Go on to the next" })), h("button", { type: "button", class: "link", text: "Undo", title: "Take the last decision back (U)", on: { click: undoHere } }))),
    h("div", { id: "panel-facts" }),
  );
}

/** Show place `place` of what the gallery shows. */
export function openViewer(place) {
  list = [...state.shown];
  if (!list.length) return;
  by("gallery").hidden = true;
  by("viewer").hidden = false;
  go(place);
  by("viewer").focus({ preventScroll: true });
}

export function closeViewer() {
  if (!isOpen()) return;
  by("clip").pause();
  by("viewer").hidden = true;
  by("gallery").hidden = false;
  const item = current();
  const place = state.shown.findIndex((each) => each.id === item?.id);
  if (place >= 0) state.at = place;
  stage.close();
  detail = null;
  document.dispatchEvent(new Event("gallery"));
}

export function step(by_) {
  const wanted = at + by_;
  if (wanted < 0 || wanted >= list.length) return toast(wanted < 0 ? "This is the first" : "This is the last of those that are shown");
  go(wanted);
}

async function go(place) {
  at = place;
  const item = list[at];
  const mine = ++asked;
  number = 0;
  detail = null;
  showClip(false);
  by("title").textContent = item.name;
  by("title").title = item.path;
  by("position").textContent = `${whole(at + 1)} of ${whole(list.length)}`;
  by("previous").disabled = at === 0;
  by("next").disabled = at === list.length - 1;
  by("note").value = "";
  by("panel").setAttribute("aria-busy", "true"); // its facts are still those of the one before
  drawStanding();
  drawStrip();
  fill(by("scrub"));
  by("scrub").hidden = true;
  try {
    const found = await api.loadItem(item.id);
    if (mine !== asked) return;
    by("panel").scrollTop = 0;
    take(found);
    drawScrub(item);
    await showPictures(item, mine);
  } catch (error) {
    if (mine === asked) toast(error.message, { bad: true });
  }
}

function take(found) {
  detail = found;
  const scroll = by("panel").scrollTop;
  drawFacts(current(), detail);
  by("panel").scrollTop = scroll;
  by("panel").setAttribute("aria-busy", "false");
  for (const name of ["damage", "trust"]) buttons.get(name).hidden = !detail.overlays.includes(name);
}

async function showPictures(item, mine) {
  const wanted = number;
  by("stage").classList.add("busy");
  const pair = await api.loadPair(item.id, wanted);
  if (mine !== asked || wanted !== number) return;
  by("stage").classList.remove("busy");
  const errors = ["scan", "result"].filter((side) => pair[side]?.error && (side === "scan" || item.status === "restored")).map((side) => `The ${side} cannot be shown: ${pair[side].error}`);
  const notes = ["scan", "result"].map((side) => pair[side]?.note).filter(Boolean);
  by("problem").hidden = !errors.length && !notes.length;
  by("problem").textContent = [...errors, ...notes].join("\n");
  await stage.show(item, wanted, pair);
  // What is looked at next is decoded meanwhile.
  if (wanted === 0 && list[at + 1] && list[at] === item) api.loadPair(list[at + 1].id, 0).catch(() => null);
}

function drawScrub(item) {
  const count = detail.count;
  const bar = by("scrub");
  bar.hidden = count < 2 && !detail.clip;
  if (bar.hidden) return;
  const what = item.kind === "film" ? "Frame" : "Page";
  const text = h("output", { class: "scrub-text", text: `${what} 1 of ${whole(count)}` });
  const slider = h("input", { type: "range", id: "frame", min: 0, max: count - 1, value: 0, "aria-label": `${what} of ${count}` });
  const later = quietly(() => showPictures(item, asked).catch((error) => toast(error.message, { bad: true })), 60);
  slider.addEventListener("input", () => {
    number = Number(slider.value);
    text.textContent = `${what} ${whole(number + 1)} of ${whole(count)}`;
    slider.setAttribute("aria-valuetext", text.textContent);
    later();
  });
  slider.addEventListener("pointerup", () => slider.blur()); // arrows lead to other items again
  const move = (step_) => {
    slider.value = Number(slider.value) + step_;
    slider.dispatchEvent(new Event("input"));
  };
  const button = (label, title, step_) => h("button", { type: "button", class: "tool", text: label, title, "aria-label": title, on: { click: () => move(step_) } });
  fill(bar, button("‹", `Previous ${what.toLowerCase()} (,)`, -1), slider, button("›", `Next ${what.toLowerCase()} (.)`, 1), text, detail.clip && h("button", { type: "button", class: "tool", id: "clip-open", text: "▶ Comparison clip", title: "Play the clip of both side by side (P)", on: { click: () => showClip(by("clip").hidden) } }));
  bar.move = move;
}

export const scrub = (step_) => by("scrub").hidden || by("scrub").move?.(step_);

export function showClip(yes) {
  const clip = by("clip");
  const item = current();
  if (yes && !detail?.clip) return;
  clip.hidden = !yes;
  if (yes) {
    clip.src = api.clipOf(item);
    clip.play().catch(() => null);
  } else {
    clip.pause();
    clip.removeAttribute("src");
  }
}

function drawStanding() {
  const item = current();
  if (!item) return;
  const decision = standing(item);
  const reviewer = state.decisions[item.id]?.[1];
  by("standing").className = `standing ${decision}`;
  by("standing").textContent = item.status === "restored" || decision !== "none" ? `${SIGNS[decision]} ${WORDS[decision]}${reviewer ? `, ${reviewer}` : ""}` : item.status;
  for (const name of ["accept", "reject", "redo"]) by(`decide-${name}`).setAttribute("aria-pressed", String(decision === name));
}

function drawStrip() {
  const first = Math.max(0, Math.min(at - NEIGHBOURS, list.length - 2 * NEIGHBOURS - 1));
  const cells = list.slice(first, first + 2 * NEIGHBOURS + 1).map((item, offset) => {
    const place = first + offset;
    const image = item.blank ? null : h("img", { alt: "", src: api.thumbOf(item, item.status === "restored" ? "result" : "scan"), draggable: false });
    image?.addEventListener("error", () => image.remove());
    return h("button", { type: "button", class: `cell${place === at ? " here" : ""}`, "aria-label": `${item.name}${place === at ? ", shown now" : ""}`, title: item.path, tabIndex: -1, data: { decision: standing(item) }, on: { click: () => go(place) } }, image);
  });
  fill(by("strip"), ...cells);
}

function showZoom(scale) {
  by("zoom").textContent = scale ? `${scale >= 0.1 ? Math.round(scale * 100) : (scale * 100).toFixed(1)}%` : "";
}

export function setMode(mode) {
  stage.setMode(mode);
  for (const [name] of MODES) buttons.get(name).setAttribute("aria-pressed", String(name === mode));
}

export function toggleOverlay(name) {
  if (buttons.get(name).hidden) return toast(`There is no map of ${name} for this one`);
  stage.toggleOverlay(name);
  buttons.get(name).setAttribute("aria-pressed", String(stage.view.overlays.has(name)));
}

export function toggleZoom() {
  Math.abs(stage.zoom() - 1) < 0.02 ? stage.fit() : stage.zoomTo(1);
}

export async function decideHere(decision) {
  const item = current();
  if (!item) return;
  const note = by("note").value;
  const done = decision === "redo" ? detail && (await askRedo([item.id], detail)) : await decide([item.id], decision, { note });
  if (!done) return;
  by("note").value = "";
  if (by("advance").checked && current() === item && at < list.length - 1) go(at + 1);
}

/** Take back what was decided last here, and go to where that was. */
export async function undoHere() {
  const last = state.undoable.at(-1)?.ids ?? (standing(current()) !== "none" ? [current().id] : null);
  await (state.undoable.length ? undo() : undo(last));
  const place = last?.length === 1 ? list.findIndex((item) => item.id === last[0]) : -1;
  if (isOpen() && place >= 0 && place !== at) go(place);
}
