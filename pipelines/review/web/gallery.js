// The shelf of thumbnails. Only the rows in sight are elements, so that ten thousand items are as quick as ten.

import { thumbOf } from "./api.js";
import { by, fill, h, keep, kept, whole } from "./dom.js";
import { emit, on, SIGNS, standing, state, WORDS } from "./state.js";

const GAP = 10;
const WORDS_HEIGHT = 46; // below each picture
const OVER = 2; // rows beyond the edges
const made = new Map(); // place in `shown` -> element
let layout = { columns: 1, width: 200, height: 200, size: Number(kept("size")) || 200 };
let anchor = 0;
let flipped = false;
let before = []; // what was shown last

export function startGallery() {
  const grid = by("grid");
  grid.addEventListener("scroll", () => requestAnimationFrame(draw), { passive: true });
  new ResizeObserver(() => measure()).observe(grid);
  grid.addEventListener("click", (event) => pick(event));
  grid.addEventListener("dblclick", (event) => placeOf(event) !== null && emit("open", placeOf(event)));
  grid.addEventListener("pointermove", (event) => wipe(event));
  grid.addEventListener("pointerleave", (event) => wipe(event));
  const size = by("size");
  size.value = layout.size;
  size.addEventListener("input", () => {
    layout.size = Number(size.value);
    keep("size", size.value);
    measure();
  });
  on("shown", () => {
    anchor = state.at;
    for (const id of [...state.chosen]) if (!state.byId.has(id)) state.chosen.delete(id);
    by("nothing").hidden = state.shown.length > 0;
    by("count").textContent = state.shown.length === state.items.length ? `${whole(state.items.length)} items` : `${whole(state.shown.length)} of ${whole(state.items.length)}`;
    by("batch-open").disabled = !state.shown.length;
    if (before.length !== state.shown.length || before.some((item, place) => item !== state.shown[place])) clearAll();
    before = state.shown;
    measure();
  });
  on("decisions", () => {
    for (const [place, card] of made) dress(card, state.shown[place], place);
  });
}

function measure() {
  const grid = by("grid");
  const inner = grid.clientWidth - 2 * GAP;
  if (inner <= 0) return;
  const columns = Math.max(1, Math.floor((inner + GAP) / (layout.size + GAP)));
  const width = Math.floor((inner + GAP) / columns) - GAP;
  const changed = columns !== layout.columns || width !== layout.width;
  layout = { ...layout, columns, width, height: Math.round(width * 0.8) + WORDS_HEIGHT };
  by("grid-canvas").style.height = `${Math.ceil(state.shown.length / columns) * (layout.height + GAP) + GAP}px`;
  if (changed) clearAll();
  draw();
}

function clearAll() {
  for (const card of made.values()) drop(card);
  made.clear();
}

function drop(card) {
  for (const image of card.querySelectorAll("img")) image.removeAttribute("src"); // a request that is not wanted any more
  card.remove();
}

function draw() {
  const grid = by("grid");
  const step = layout.height + GAP;
  const first = Math.max(0, Math.floor(grid.scrollTop / step) - OVER) * layout.columns;
  const last = Math.min(state.shown.length, (Math.ceil((grid.scrollTop + grid.clientHeight) / step) + OVER) * layout.columns);
  for (const [place, card] of made) {
    if (place < first || place >= last) {
      drop(card);
      made.delete(place);
    }
  }
  const fresh = [];
  for (let place = first; place < last; place++) {
    if (!made.has(place)) {
      const card = cardOf(state.shown[place], place);
      made.set(place, card);
      fresh.push(card);
    }
  }
  by("grid-canvas").append(...fresh);
  mark();
}

function cardOf(item, place) {
  const column = place % layout.columns;
  const row = Math.floor(place / layout.columns);
  const card = h("div", { class: "card", role: "option", id: `card-${place}`, data: { place } });
  card.style.transform = `translate(${GAP + column * (layout.width + GAP)}px, ${GAP + row * (layout.height + GAP)}px)`;
  card.style.width = `${layout.width}px`;
  card.style.height = `${layout.height}px`;
  dress(card, item, place);
  return card;
}

function dress(card, item, place) {
  const decision = standing(item);
  card.dataset.decision = decision;
  card.setAttribute("aria-label", `${item.name}, ${item.folder || "top folder"}: ${item.status === "restored" ? WORDS[decision] : item.status}${item.needsReview ? ", needs review" : ""}`);
  card.setAttribute("aria-setsize", state.shown.length);
  card.setAttribute("aria-posinset", place + 1);
  if (card.firstChild) {
    card.querySelector(".card-sign").textContent = SIGNS[decision];
    return;
  }
  const failed = item.status !== "restored";
  const picture = item.blank ? null : h("img", { class: "card-picture", alt: "", decoding: "async", draggable: false, src: thumbOf(item, failed || flipped ? "scan" : "result") });
  card.classList.toggle("blank", Boolean(item.blank));
  picture?.addEventListener("error", () => {
    if (!picture.getAttribute("src")) return; // it was not waited for
    item.blank = true;
    card.classList.add("blank");
    picture.remove();
  });
  const number = item.trust ?? null;
  const marks = [
    item.kind === "film" && h("span", { class: "chip", text: `▶ ${whole(item.frames ?? 0)}` }),
    item.pages && item.frames > 1 && h("span", { class: "chip", text: `${item.frames} pages` }),
    item.needsReview && h("span", { class: "chip look", text: "look" }),
    item.warnings.length > 0 && h("span", { class: "chip warn", text: `! ${item.warnings.length}`, title: item.warnings.join("\n") }),
    failed && h("span", { class: "chip bad", text: item.status }),
  ];
  const facts = failed ? item.code : number !== null ? `trust ${number.toFixed(2)}` : item.outputWidth ? `${item.outputWidth} × ${item.outputHeight}` : "";
  fill(
    card,
    h("div", { class: "card-mat" }, picture, h("span", { class: "card-sign", "aria-hidden": "true", text: SIGNS[decision] }), h("span", { class: "card-marks" }, ...marks)),
    h("div", { class: "card-words" }, h("span", { class: "card-name", text: item.name, title: item.path }), h("span", { class: "card-facts" }, h("span", { text: facts ?? "" }), h("span", { class: "card-folder", text: item.folder }))),
  );
}

function mark() {
  for (const [place, card] of made) {
    const item = state.shown[place];
    card.classList.toggle("focus", place === state.at);
    const chosen = state.chosen.has(item.id);
    card.classList.toggle("chosen", chosen);
    card.setAttribute("aria-selected", String(chosen || (!state.chosen.size && place === state.at)));
  }
  const here = made.get(state.at);
  here ? by("grid").setAttribute("aria-activedescendant", here.id) : by("grid").removeAttribute("aria-activedescendant");
  const bar = by("chosen");
  bar.hidden = state.chosen.size < 2;
  bar.textContent = `${whole(state.chosen.size)} selected: A accepts, R rejects, E asks for another try; Esc selects none`;
}

function placeOf(event) {
  const card = event.target.closest?.(".card");
  return card ? Number(card.dataset.place) : null;
}

function pick(event) {
  const place = placeOf(event);
  if (place === null) return;
  if (event.shiftKey) {
    const [from, to] = [Math.min(anchor, place), Math.max(anchor, place)];
    for (let at = from; at <= to; at++) state.chosen.add(state.shown[at].id);
  } else if (event.ctrlKey || event.metaKey) {
    const { id } = state.shown[place];
    state.chosen.has(id) ? state.chosen.delete(id) : state.chosen.add(id);
    anchor = place;
  } else {
    state.chosen.clear();
    anchor = place;
  }
  state.at = place;
  mark();
}

/** Under the pointer a thumbnail is scan and result, parted where the pointer is. */
function wipe(event) {
  const mat = event.target.closest?.(".card-mat");
  for (const other of document.querySelectorAll(".card-mat.wiped")) {
    if (other !== mat) {
      other.classList.remove("wiped");
      other.querySelector(".card-scan")?.remove();
    }
  }
  const place = mat && placeOf(event);
  if (!mat || place === null || event.type === "pointerleave") return;
  const item = state.shown[place];
  const picture = mat.querySelector(".card-picture");
  if (item.status !== "restored" || !picture || flipped) return;
  let scan = mat.querySelector(".card-scan");
  if (!scan) {
    scan = h("img", { class: "card-scan", alt: "", draggable: false, src: thumbOf(item, "scan") });
    scan.addEventListener("error", () => scan.remove());
    picture.after(scan);
    mat.classList.add("wiped");
  }
  const box = mat.getBoundingClientRect();
  const part = Math.min(100, Math.max(0, ((event.clientX - box.left) / box.width) * 100));
  scan.style.clipPath = `inset(0 ${100 - part}% 0 0)`;
  mat.style.setProperty("--part", `${part}%`);
}

/** All thumbnails show scans while a key is held. */
export function flip(scans) {
  if (flipped === scans) return;
  flipped = scans;
  document.body.classList.toggle("flipped", scans);
  for (const [place, card] of made) {
    const item = state.shown[place];
    const picture = card.querySelector(".card-picture");
    if (picture && item.status === "restored") picture.src = thumbOf(item, scans ? "scan" : "result");
  }
}

/** Move the focus; `how` is a key's name. */
export function move(how, event) {
  const before = state.at;
  const rows = Math.max(1, Math.floor(by("grid").clientHeight / (layout.height + GAP)));
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -layout.columns, ArrowDown: layout.columns, PageUp: -rows * layout.columns, PageDown: rows * layout.columns, Home: -Infinity, End: Infinity };
  const wanted = state.at + steps[how];
  if (Math.abs(steps[how]) === layout.columns && (wanted < 0 || wanted >= state.shown.length)) return;
  state.at = Math.min(Math.max(wanted, 0), Math.max(0, state.shown.length - 1));
  if (event?.shiftKey) {
    const [from, to] = [Math.min(before, state.at), Math.max(before, state.at)];
    for (let at = from; at <= to; at++) state.chosen.add(state.shown[at].id);
  }
  reveal();
  mark();
}

/** Scroll to the focus. */
export function reveal() {
  const grid = by("grid");
  const top = Math.floor(state.at / layout.columns) * (layout.height + GAP);
  if (top < grid.scrollTop) grid.scrollTop = top;
  const bottom = top + layout.height + 2 * GAP;
  if (bottom > grid.scrollTop + grid.clientHeight) grid.scrollTop = bottom - grid.clientHeight;
  draw();
}

export function chooseAll(yes) {
  state.chosen = yes ? new Set(state.shown.map((item) => item.id)) : new Set();
  mark();
}

/** Select the one with the focus, or no longer. */
export function chooseHere() {
  const item = state.shown[state.at];
  if (!item) return;
  state.chosen.has(item.id) ? state.chosen.delete(item.id) : state.chosen.add(item.id);
  mark();
}
