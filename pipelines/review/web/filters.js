// What is shown of the archive: filters with counts, a range with its histogram, a text, an order.

import { by, fill, h, quietly, whole } from "./dom.js";
import { emit, on, standing, state, WORDS } from "./state.js";

const RANGES = { trust: "Trust", consistency_worst_db: "Worst region, dB", lq_psnr_db: "Likeness to the scan, dB" };
const SORTS = {
  path: ["Path", null],
  trust: ["Least trusted first", (item) => item.trust],
  consistency_worst_db: ["Worst region first", (item) => item.consistency_worst_db],
  lq_psnr_db: ["Least like the scan first", (item) => item.lq_psnr_db],
  warnings: ["Most warnings first", (item) => -item.warnings.length],
};
const BARS = 28;
const SHOWN_VALUES = 300;

export const filters = { text: "", sort: "path", range: null, low: null, high: null };
const facets = [];
let measures = []; // of `RANGES`, that differ between items

/** A warning without its numbers, so that the same one is counted once. */
const likeness = (text) => text.replace(/\d[\d.,]*/g, "N");

function facet(key, title, values, { order = null, words = {} } = {}) {
  const counts = new Map();
  for (const item of state.items) for (const value of values(item)) counts.set(value, (counts.get(value) ?? 0) + 1);
  const names = order ?? [...counts.keys()].sort();
  const old = facets.find((each) => each.key === key);
  return { key, title, values, words, names, chosen: old?.chosen ?? new Set(), places: new Map() };
}

/** Made anew when the items are. */
export function setUpFilters() {
  const made = [
    facet("decision", "Decision", (item) => [standing(item)], { order: ["none", "accept", "reject", "redo"], words: WORDS }),
    facet("flags", "Look closer", flagsOf, { order: ["needs review", "sensitive", "damage marked", "warnings", "untrained network"] }),
    facet("status", "Status", (item) => [item.status]),
    facet("kind", "Kind", (item) => [item.kind], { words: { photo: "Photographs", film: "Films" } }),
    facet("folder", "Folder", (item) => [item.folder], { words: { "": "(top folder)" } }),
    facet("warning", "Warning", (item) => [...new Set(item.warnings.map(likeness))]),
    facet("code", "Failure", (item) => (item.code ? [item.code] : [])),
  ];
  facets.splice(0, facets.length, ...made);
  measures = Object.keys(RANGES).filter((name) => state.columns.has(name) && boundsOf(name));
  if (!measures.includes(filters.range)) filters.range = measures[0] ?? null;
  filters.bounds = filters.range && boundsOf(filters.range);
  draw();
  apply();
}

/** Least and most of a measure; null where all are equal, so that there is nothing to choose. */
function boundsOf(name) {
  let [low, high] = [Infinity, -Infinity];
  for (const item of state.items) {
    const value = item[name];
    if (value === null) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low < high ? [low, high] : null;
}

function flagsOf(item) {
  const found = [];
  if (item.needsReview) found.push("needs review");
  if (item.sensitive && item.sensitive !== "none") found.push("sensitive");
  if (item.damaged) found.push("damage marked");
  if (item.warnings.length) found.push("warnings");
  if (item.trained === false) found.push("untrained network");
  return found;
}

function inRange(item) {
  if (!filters.range || (filters.low === null && filters.high === null)) return true;
  const value = item[filters.range];
  return value !== null && (filters.low === null || value >= filters.low) && (filters.high === null || value <= filters.high);
}

/** Choose what is shown; says so to the page. The counts beside a filter are of what its other values would show. */
export function apply() {
  const words = filters.text.toLowerCase().split(/\s+/).filter(Boolean);
  const counts = facets.map(() => new Map());
  const kept = [];
  for (const item of state.items) {
    if (!inRange(item) || !words.every((word) => item.text.includes(word))) continue;
    let failing = -1;
    let fails = 0;
    const values = facets.map((each) => each.values(item));
    for (let at = 0; at < facets.length && fails < 2; at++) {
      const { chosen } = facets[at];
      if (chosen.size && !values[at].some((value) => chosen.has(value))) {
        failing = at;
        fails++;
      }
    }
    if (fails > 1) continue;
    for (let at = 0; at < facets.length; at++) {
      if (fails && at !== failing) continue;
      for (const value of values[at]) counts[at].set(value, (counts[at].get(value) ?? 0) + 1);
    }
    if (!fails) kept.push(item);
  }
  const rank = SORTS[filters.sort]?.[1];
  if (rank) kept.sort((a, b) => (rank(a) ?? Infinity) - (rank(b) ?? Infinity));
  const before = state.shown[state.at]?.id;
  state.shown = kept;
  state.at = Math.max(0, before ? kept.findIndex((item) => item.id === before) : 0);
  facets.forEach((each, at) => recount(each, counts[at]));
  emit("shown");
}

function recount(one, counts) {
  for (const [value, place] of one.places) {
    const number = counts.get(value) ?? 0;
    place.number.textContent = whole(number);
    place.row.classList.toggle("none", number === 0 && !one.chosen.has(value));
  }
}

function draw() {
  const sections = facets.map(section).filter(Boolean);
  const range = filters.bounds ? rangeSection() : null;
  sections.splice(2, 0, range);
  fill(by("filters"), ...sections, h("button", { type: "button", class: "link clear", text: "Clear all filters", on: { click: clear } }));
  const sort = by("sort");
  fill(sort, ...Object.entries(SORTS).filter(([key, [, rank]]) => !rank || key === "warnings" || state.columns.has(key)).map(([key, [label]]) => h("option", { value: key, text: label })));
  sort.value = filters.sort;
}

function section(one) {
  const present = one.names.filter((value) => state.items.some((item) => one.values(item).includes(value)) || one.key === "decision");
  if (!present.length || (present.length < 2 && !["decision", "flags", "warning", "code"].includes(one.key))) return null;
  const rows = present.slice(0, SHOWN_VALUES).map((value) => {
    const number = h("span", { class: "number" });
    const box = h("input", { type: "checkbox", checked: one.chosen.has(value), data: { facet: one.key, value } });
    const label = one.words[value] ?? (one.key === "folder" || one.key === "warning" || one.key === "code" ? value : value[0].toUpperCase() + value.slice(1));
    const row = h("label", { class: "choice" }, box, h("span", { class: "choice-text", text: label, title: label }), number);
    box.addEventListener("change", () => {
      box.checked ? one.chosen.add(value) : one.chosen.delete(value);
      apply();
    });
    one.places.set(value, { number, row });
    return row;
  });
  const more = present.length > SHOWN_VALUES && h("p", { class: "soft", text: `and ${whole(present.length - SHOWN_VALUES)} more: search finds them` });
  return h("fieldset", { class: "facet" }, h("legend", { text: one.title }), h("div", { class: "choices" }, ...rows), more);
}

function rangeSection() {
  const [low, high] = filters.bounds;
  const counts = new Array(BARS).fill(0);
  for (const item of state.items) {
    const value = item[filters.range];
    if (value !== null) counts[Math.min(BARS - 1, Math.floor(((value - low) / (high - low)) * BARS))]++;
  }
  const most = Math.max(...counts);
  const bars = counts.map((count) => {
    const bar = h("span", { class: "histogram-bar" });
    bar.style.height = `${count ? Math.max(6, (count / most) * 100) : 0}%`;
    return bar;
  });
  const text = h("output", { class: "range-text" });
  const input = (label, value) => h("input", { type: "range", min: low, max: high, step: (high - low) / 200, value, "aria-label": `${RANGES[filters.range]}, ${label}` });
  const [from, to] = [input("at least", filters.low ?? low), input("at most", filters.high ?? high)];
  const later = quietly(apply, 40);
  const take = () => {
    const [a, b] = [Number(from.value), Number(to.value)].sort((x, y) => x - y);
    filters.low = a <= low + (high - low) / 400 ? null : a;
    filters.high = b >= high - (high - low) / 400 ? null : b;
    bars.forEach((bar, at) => bar.classList.toggle("out", low + ((at + 0.5) / BARS) * (high - low) < a || low + ((at + 0.5) / BARS) * (high - low) > b));
    text.textContent = filters.low === null && filters.high === null ? "any" : `${a.toFixed(2)} to ${b.toFixed(2)}`;
    later();
  };
  for (const each of [from, to]) each.addEventListener("input", take);
  take();
  const measure = h("select", { "aria-label": "Measure" }, ...measures.map((name) => h("option", { value: name, text: RANGES[name], selected: name === filters.range })));
  measure.addEventListener("change", () => {
    Object.assign(filters, { range: measure.value, low: null, high: null });
    setUpFilters();
  });
  return h("fieldset", { class: "facet" }, h("legend", {}, measures.length > 1 ? measure : RANGES[filters.range]), h("div", { class: "histogram", "aria-hidden": "true" }, ...bars), h("div", { class: "range" }, from, to), text);
}

/** Show everything again. */
export function clear() {
  for (const each of facets) each.chosen.clear();
  Object.assign(filters, { text: "", low: null, high: null });
  by("search").value = "";
  setUpFilters();
}

/** Show one decision alone, or all again where that is what is shown. */
export function toggle(key, value) {
  const one = facets.find((each) => each.key === key);
  const alone = one.chosen.size === 1 && one.chosen.has(value);
  one.chosen.clear();
  if (!alone) one.chosen.add(value);
  draw();
  apply();
}

/** In words, for the page that asks before it decides on all. */
export function description() {
  const parts = facets.filter((each) => each.chosen.size).map((each) => `${each.title.toLowerCase()}: ${[...each.chosen].map((value) => each.words[value] ?? value).join(" or ")}`);
  if (filters.text) parts.push(`text: “${filters.text}”`);
  if (filters.low !== null || filters.high !== null) parts.push(`${RANGES[filters.range].toLowerCase()} in a range`);
  return parts.join("; ") || "no filter is set: this is the whole archive";
}

export function startFilters() {
  by("search").addEventListener("input", quietly(() => {
    filters.text = by("search").value;
    apply();
  }, 10));
  by("sort").addEventListener("change", () => {
    filters.sort = by("sort").value;
    apply();
  });
  by("clear").addEventListener("click", clear);
  on("decisions", apply);
}
