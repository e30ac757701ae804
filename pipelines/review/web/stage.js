// The picture itself: scan and result over each other in one deep zoom, parted by a curtain, or beside each other.

import { overlayOf, tileOf } from "./api.js";
import { by } from "./dom.js";

const { OpenSeadragon } = window;
const SHARP_ABOVE = 2.5; // screen pixels to a pixel of the result, above which single pixels are shown as squares
const DIFFERENCE_GAIN = 4;
const OVERLAY_OPACITY = 0.65;

let viewer = null;
let second = null;
let shown = null; // {item, number, pair, scan, result, overlays}
let opening = 0;
let fitted = false; // the whole picture is in sight, and nobody has moved it
export const view = { mode: "curtain", part: 0.5, flipped: false, overlays: new Set() };
let onZoom = () => {};

const OPTIONS = {
  drawer: "canvas",
  showNavigationControl: false,
  keyboardNavEnabled: false,
  gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
  gestureSettingsTouch: { clickToZoom: false, dblClickToZoom: true },
  animationTime: matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : 0.35,
  springStiffness: 9,
  maxZoomPixelRatio: 32,
  minZoomImageRatio: 0.6,
  visibilityRatio: 0.4,
  imageLoaderLimit: 4,
  maxImageCacheCount: 300,
  preserveImageSizeOnResize: false,
};

export function startStage(hear) {
  onZoom = hear;
  viewer = make("osd");
  for (const event of ["update-viewport", "resize", "open"]) viewer.addHandler(event, follow);
  viewer.addHandler("animation-finish", follow);
  for (const event of ["canvas-scroll", "canvas-drag", "canvas-pinch", "canvas-double-click"]) viewer.addHandler(event, () => (fitted = false));
  // The viewer moves the picture after it has said so.
  viewer.addHandler("after-resize", () => queueMicrotask(() => fitted && fit(true)));
  startCurtain();
}

function make(id) {
  const made = OpenSeadragon({ ...OPTIONS, element: by(id) });
  made.canvas.tabIndex = -1; // its keys are the page's
  return made;
}

function source(item, side, number, facts, tile) {
  return {
    width: facts.width,
    height: facts.height,
    tileSize: tile,
    tileOverlap: 0,
    minLevel: 0,
    maxLevel: facts.levels - 1,
    getTileUrl: (level, x, y) => tileOf(item, side, number, facts.levels - 1 - level, x, y),
  };
}

function add(to, options) {
  return new Promise((done) => to.addTiledImage({ ...options, success: (event) => done(event.item), error: () => done(null) }));
}

const shape = (facts) => facts && !facts.error && facts.height / facts.width;

/** Show an item's pictures. The view stays where it is if they are of the same item. */
export async function show(item, number, pair) {
  const mine = ++opening;
  const same = shown?.item.id === item.id;
  const old = shown;
  const high = shape(pair.result) || shape(pair.scan);
  const parts = {};
  for (const side of ["scan", "result"]) {
    const facts = pair[side];
    if (!facts || facts.error) continue;
    parts[side] = await add(viewer, { tileSource: source(item, side, number, facts, pair.tile), x: 0, y: 0, width: 1, opacity: 0 });
    // Both lie over each other to the last pixel, though one is smaller.
    parts[side]?.fitBounds(new OpenSeadragon.Rect(0, 0, 1, high), OpenSeadragon.Placement.CENTER, true);
    if (mine !== opening) {
      for (const part of Object.values(parts)) if (part) viewer.world.removeItem(part);
      return;
    }
  }
  shown = { item, number, pair, ...parts, overlays: {}, second: null };
  const clear = () => old && removeAll(old);
  if (!same) {
    clear();
    fit(true);
  }
  apply();
  if (same) whenLoaded([shown.scan, shown.result], clear);
  for (const name of view.overlays) await addOverlay(name);
  if (view.mode === "side") await showSecond();
  const own = shown;
  whenLoaded([own.scan, own.result], () => own === shown && by("stage").setAttribute("data-loaded", `${item.id} ${number}`));
}

function whenLoaded(parts, run) {
  const there = parts.filter(Boolean);
  let left = there.length;
  if (!left) return run();
  let done = false;
  const count = () => !done && --left <= 0 && (done = true) && run();
  for (const part of there) {
    if (part.getFullyLoaded()) count();
    else part.addOnceHandler("fully-loaded-change", count);
  }
}

function removeAll(old) {
  for (const part of [old.scan, old.result, ...Object.values(old.overlays)]) if (part && viewer.world.getIndexOfItem(part) >= 0) viewer.world.removeItem(part);
}

/** Take away whatever is shown. */
export function close() {
  opening++;
  if (shown) removeAll(shown);
  shown = null;
  second?.world.removeAll();
  by("stage").removeAttribute("data-loaded");
}

async function showSecond() {
  by("stage-b").hidden = false;
  second ??= makeSecond();
  second.world.removeAll();
  const { item, number, pair } = shown;
  const facts = pair.result;
  if (facts && !facts.error) await add(second, { tileSource: source(item, "result", number, facts, pair.tile), x: 0, y: 0, width: 1 });
  synchronise(viewer, second);
}

function makeSecond() {
  const made = make("osd-b");
  let busy = false;
  const join = (from, to) => {
    if (busy || view.mode !== "side") return;
    busy = true;
    synchronise(from, to);
    busy = false;
  };
  viewer.addHandler("viewport-change", () => join(viewer, made));
  made.addHandler("viewport-change", () => join(made, viewer));
  made.addHandler("update-viewport", () => sharpen(made));
  return made;
}

function synchronise(from, to) {
  if (!to.viewport || !from.viewport) return;
  to.viewport.zoomTo(from.viewport.getZoom(true), null, true);
  to.viewport.panTo(from.viewport.getCenter(true), true);
}

/** Which pictures are seen, and how. */
export function apply() {
  if (!shown) return;
  const { scan, result } = shown;
  const mode = !result ? "scan" : !scan ? "result" : view.mode;
  const seen = view.flipped && mode !== "side" ? (mode === "scan" ? "result" : "scan") : mode;
  const difference = seen === "difference";
  scan?.setOpacity(seen === "result" ? 0 : 1);
  result?.setOpacity(seen === "scan" || seen === "side" ? 0 : 1);
  result?.setCompositeOperation(difference ? "difference" : null);
  viewer.drawer.canvas.style.filter = difference ? `brightness(${DIFFERENCE_GAIN})` : "";
  by("stage").dataset.seen = seen;
  by("stage-b").hidden = mode !== "side";
  const parted = seen === "curtain";
  by("curtain").hidden = !parted;
  by("tag-scan").hidden = !(parted || seen === "scan" || seen === "side");
  by("tag-result").hidden = !(parted || seen === "result");
  by("tag-result").classList.toggle("alone", seen === "result");
  for (const [name, part] of Object.entries(shown.overlays)) part?.setOpacity(view.overlays.has(name) && !view.flipped ? OVERLAY_OPACITY : 0);
  if (!parted) result?.setClip(null);
  follow();
}

function follow() {
  if (!shown || !viewer.viewport) return;
  sharpen(viewer);
  if (shown.result && by("stage").dataset.seen === "curtain") {
    const size = shown.result.getContentSize();
    const at = shown.result.viewerElementToImageCoordinates(new OpenSeadragon.Point(viewer.container.clientWidth * view.part, 0)).x;
    const left = Math.min(Math.max(at, 0), size.x - 0.01);
    const clip = shown.result.getClip();
    if (!clip || Math.abs(clip.x - left) > 1e-3) shown.result.setClip(new OpenSeadragon.Rect(left, 0, size.x - left, size.y));
  }
  onZoom(zoom());
}

/** Both sides the same: squares where the result's own pixels are so large that they are looked at one by one. */
function sharpen(one) {
  const scale = zoom();
  if (!scale) return;
  const smooth = scale < SHARP_ABOVE;
  if (one.smooth !== smooth) {
    one.smooth = smooth;
    one.drawer.setImageSmoothingEnabled(smooth);
  }
}

const main = () => shown?.result ?? shown?.scan;

/** Screen pixels to a pixel of the result; 1 is 100%. */
export const zoom = () => (main() ? main().viewportToImageZoom(viewer.viewport.getZoom(true)) * devicePixelRatio : 0);

export function zoomTo(scale) {
  fitted = false;
  if (main()) viewer.viewport.zoomTo(main().imageToViewportZoom(scale / devicePixelRatio));
}

export function zoomBy(factor) {
  fitted = false;
  viewer.viewport.zoomBy(factor);
  viewer.viewport.applyConstraints();
}

export function fit(at_once = false) {
  if (!main()) return;
  const bounds = main().getBounds(true);
  const air = 0.02;
  fitted = true;
  viewer.viewport.fitBounds(new OpenSeadragon.Rect(bounds.x - air * bounds.width, bounds.y - air * bounds.height, bounds.width * (1 + 2 * air), bounds.height * (1 + 2 * air)), at_once);
}

export function setMode(mode) {
  view.mode = mode;
  if (mode === "side" && shown) showSecond().then(apply);
  apply();
}

/** While a key is held the other picture is shown. */
export function flip(other) {
  if (view.flipped === other) return;
  view.flipped = other;
  apply();
}

export function setCurtain(part) {
  view.part = Math.min(1, Math.max(0, part));
  by("curtain").style.left = `${view.part * 100}%`;
  by("curtain").setAttribute("aria-valuenow", Math.round(view.part * 100));
  by("curtain").setAttribute("aria-valuetext", `${Math.round(view.part * 100)}% scan`);
  follow();
}

function startCurtain() {
  const line = by("curtain");
  const move = (event) => {
    const box = by("stage").getBoundingClientRect();
    setCurtain((event.clientX - box.left) / box.width);
  };
  line.addEventListener("pointerdown", (event) => {
    line.setPointerCapture(event.pointerId);
    line.addEventListener("pointermove", move);
    event.preventDefault();
    line.focus();
  });
  for (const end of ["pointerup", "pointercancel"]) line.addEventListener(end, () => line.removeEventListener("pointermove", move));
  line.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -0.02, ArrowRight: 0.02, Home: -1, End: 1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    setCurtain(view.part + step);
  });
  setCurtain(0.5);
}

async function addOverlay(name) {
  const own = shown;
  if (!own || own.overlays[name]) return;
  const high = shape(own.pair.result) || shape(own.pair.scan);
  own.overlays[name] = await add(viewer, { tileSource: { type: "image", url: overlayOf(own.item, name, own.number), buildPyramid: false }, x: 0, y: 0, width: 1, opacity: 0 });
  own.overlays[name]?.fitBounds(new OpenSeadragon.Rect(0, 0, 1, high), OpenSeadragon.Placement.CENTER, true);
  apply();
}

export function toggleOverlay(name) {
  view.overlays.has(name) ? view.overlays.delete(name) : view.overlays.add(name);
  if (view.overlays.has(name)) addOverlay(name);
  apply();
}
