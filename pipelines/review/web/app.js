// Where the page begins: items and decisions are asked for, keys are given their meaning, and the store is looked at again.

import * as api from "./api.js";
import { by, keep, toast, whole } from "./dom.js";
import { askBatch, askRedo, decide, startDecisions, undo } from "./decide.js";
import { filters, setUpFilters, startFilters, toggle } from "./filters.js";
import * as gallery from "./gallery.js";
import { key, startKeys } from "./keys.js";
import * as stage from "./stage.js";
import { emit, on, standing, state, takeItems } from "./state.js";
import * as viewer from "./viewer.js";

const LOOK_AGAIN = 4000; // milliseconds

async function start() {
  by("grid").focus({ preventScroll: true });
  gallery.startGallery();
  startFilters();
  viewer.startViewer();
  giveKeys();
  on("decisions", drawProgress);
  on("open", (place) => viewer.openViewer(place));
  document.addEventListener("gallery", () => {
    by("grid").focus({ preventScroll: true });
    gallery.reveal();
    emit("shown");
  });
  by("theme").addEventListener("click", changeTheme);
  by("batch-open").addEventListener("click", decideOnAll);
  nameTheme();
  try {
    const [cards, now] = await Promise.all([api.loadItems(), api.loadState()]);
    startDecisions(now.reviewer);
    Object.assign(state, { output: now.output, version: now.version, decisions: now.decisions, mark: now.mark });
    takeItems(cards);
  } catch (error) {
    by("progress-text").textContent = "Not loaded";
    return toast(error.message, { bad: true });
  }
  by("place").textContent = state.output;
  by("place").title = state.output;
  document.title = `Review of ${state.output.split("/").filter(Boolean).pop() ?? ""}`;
  setUpFilters();
  drawProgress();
  if (state.total > state.items.length) toast(`The first ${whole(state.items.length)} of ${whole(state.total)} items are here; --only chooses others`, { bad: true });
  document.body.dataset.ready = "yes";
  performance.mark("ready");
  setInterval(lookAgain, LOOK_AGAIN);
  window.addEventListener("focus", lookAgain);
}

/** Others decide, too, and runs go on. */
async function lookAgain() {
  if (document.hidden) return;
  try {
    const now = await api.loadState(state.mark);
    if (now.decisions) {
      Object.assign(state, { decisions: now.decisions, mark: now.mark });
      emit("decisions");
    }
    if (now.version !== state.version) {
      takeItems(await api.loadItems());
      state.version = now.version;
      setUpFilters();
      drawProgress();
      toast("A run has added results");
    }
  } catch (error) {
    toast(error.message, { bad: true });
  }
}

function drawProgress() {
  const reviewable = state.items.filter((item) => item.status === "restored");
  const done = reviewable.reduce((count, item) => count + (standing(item) !== "none"), 0);
  const part = reviewable.length ? done / reviewable.length : 0;
  by("progress-fill").style.transform = `scaleX(${part})`;
  by("progress-text").textContent = `${whole(done)} of ${whole(reviewable.length)} reviewed`;
  by("progress").setAttribute("aria-valuemax", reviewable.length);
  by("progress").setAttribute("aria-valuenow", done);
  by("progress").setAttribute("aria-valuetext", by("progress-text").textContent);
}

const chosenHere = () => (state.chosen.size ? state.shown.filter((item) => state.chosen.has(item.id)) : [state.shown[state.at]]).filter(Boolean);

async function decideInGallery(decision) {
  const items = chosenHere();
  if (!items.length) return;
  const ids = items.map((item) => item.id);
  if (decision === "redo") await askRedo(ids, await api.loadItem(ids[0]));
  else await decide(ids, decision);
}

function decideOnAll() {
  const ids = state.shown.map((item) => item.id);
  if (ids.length) askBatch(ids, () => api.loadItem(ids[0]));
}

function changeTheme() {
  const theme = document.documentElement.dataset.theme === "light" ? "dark" : "light";
  document.documentElement.dataset.theme = theme;
  keep("theme", theme);
  nameTheme();
}

function nameTheme() {
  const light = document.documentElement.dataset.theme === "light";
  by("theme").textContent = light ? "☾" : "☀";
  by("theme").setAttribute("aria-label", light ? "Use dark colours" : "Use light colours");
}

function giveKeys() {
  const move = (event) => gallery.move(event.key, event);
  key(["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"], "gallery", "Move; with Shift select", move);
  key(["PageUp", "PageDown"], "gallery", "A page up or down", move);
  key(["Home", "End"], "gallery", "To the first or last", move);
  key("Enter", "gallery", "Open", () => state.shown.length && viewer.openViewer(state.at));
  key(" ", "gallery", "Hold: all thumbnails show scans", () => gallery.flip(true), () => gallery.flip(false));
  key("x", "gallery", "Select, or no longer", gallery.chooseHere);
  key("g", "gallery", "Select all that are shown", () => gallery.chooseAll(true));
  key("Escape", "gallery", "Select none", () => gallery.chooseAll(false));
  key("a", "gallery", "Accept what is selected", () => decideInGallery("accept"));
  key("r", "gallery", "Reject what is selected", () => decideInGallery("reject"));
  key("e", "gallery", "Redo with other settings", () => decideInGallery("redo"));
  key("b", "gallery", "Decide on all that are shown", decideOnAll);
  key("/", "gallery", "Search", () => by("search").focus());
  key("f", "gallery", "Show undecided alone, or all", () => toggle("decision", "none"));

  key("ArrowLeft", "viewer", "Previous", () => viewer.step(-1));
  key("ArrowRight", "viewer", "Next", () => viewer.step(1));
  key("Escape", "viewer", "Back to the gallery", viewer.closeViewer);
  key(" ", "viewer", "Hold: the scan alone", () => stage.flip(true), () => stage.flip(false));
  for (const [letter, mode, label] of [["c", "curtain", "Curtain"], ["s", "side", "Side by side"], ["1", "scan", "Scan alone"], ["2", "result", "Result alone"], ["d", "difference", "Difference, four times as strong"]]) {
    key(letter, "viewer", label, () => viewer.setMode(mode));
  }
  key("[", "viewer", "Curtain to the left", () => stage.setCurtain(stage.view.part - 0.05));
  key("]", "viewer", "Curtain to the right", () => stage.setCurtain(stage.view.part + 0.05));
  key("z", "viewer", "100%, or fit", viewer.toggleZoom);
  key("0", "viewer", "Fit", () => stage.fit());
  key(["+", "="], "viewer", "Larger", () => stage.zoomBy(1.5));
  key("-", "viewer", "Smaller", () => stage.zoomBy(1 / 1.5));
  key("m", "viewer", "Map of damage", () => viewer.toggleOverlay("damage"));
  key("t", "viewer", "Map of trust", () => viewer.toggleOverlay("trust"));
  key(",", "viewer", "Previous frame or page", () => viewer.scrub(-1));
  key(".", "viewer", "Next frame or page", () => viewer.scrub(1));
  key("p", "viewer", "Comparison clip", () => viewer.showClip(by("clip").hidden));
  key("i", "viewer", "Panel", () => by("viewer").classList.toggle("wide"));
  key("a", "viewer", "Accept", () => viewer.decideHere("accept"));
  key("r", "viewer", "Reject", () => viewer.decideHere("reject"));
  key("e", "viewer", "Redo with other settings", () => viewer.decideHere("redo"));
  key("n", "viewer", "Write a note", () => by("note").focus());

  key("u", "any", "Undo", () => (viewer.isOpen() ? viewer.undoHere() : undo(state.undoable.length ? null : chosenHere().map((item) => item.id))));
  key("D", "any", "Dark or light", changeTheme);
  startKeys(() => (viewer.isOpen() ? "viewer" : "gallery"));
}

export { filters };
start();
