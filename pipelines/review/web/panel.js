// What is known of one item: its description, figures, warnings, settings, origin, metadata before and after, decisions.

import { loadMetadata } from "./api.js";
import { by, fill, h, keep, kept } from "./dom.js";
import { SIGNS, WORDS } from "./state.js";

const FIGURES = ["trust", "trust_source", "lq_psnr_db", "consistency_ssim", "consistency_colour", "consistency_worst_db", "sensitive", "needs_review", "damage_share", "damage_marks"];
const ORIGIN = [
  "source_path", "source_sha256", "source_size", "output_path", "output_sha256", "output_size", "identity", "model_preset",
  "model_digest", "model_revision", "seed", "device", "parts", "run_id", "disclosure", "colour_profile", "bit_depth", "media_format",
  "output_format", "started_at", "finished_at", "seconds_restore", "software",
];

const CALLED = {
  lq_psnr_db: "likeness to the scan, dB", consistency_ssim: "structure kept (SSIM)", consistency_colour: "colour difference",
  trust_source: "trust says", consistency_worst_db: "worst region, dB", damage_share: "damaged part", damage_marks: "marks of damage",
};

const called = (name) => CALLED[name] ?? name.replaceAll("_", " ");

const plain = (value) => {
  if (value === null || value === undefined || value === "") return "";
  if (typeof value === "number") return Number.isInteger(value) ? value.toLocaleString("en") : String(Math.round(value * 1000) / 1000);
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "object") return Object.entries(value).map(([name, each]) => `${Array.isArray(value) ? "" : `${name} `}${plain(each)}`).join(", ");
  return /^\d{4}-\d\d-\d\dT/.test(value) ? value.replace("T", " ").replace(/\.\d+/, "").replace("+00:00", " UTC") : String(value);
};

function list(pairs) {
  return h("dl", { class: "facts" }, ...pairs.flatMap(([name, value, about, long]) => [h("dt", { text: name, title: about }), h("dd", { class: long ? "long" : "", text: value })]));
}

function section(name, title, ...content) {
  const closed = kept(`panel-${name}`);
  const open = closed === null ? !["settings", "origin", "metadata", "events"].includes(name) : closed === "open";
  const made = h("details", { class: "part", open, data: { part: name } }, h("summary", {}, title), ...content);
  made.addEventListener("toggle", () => keep(`panel-${name}`, made.open ? "open" : "closed"));
  return made;
}

/** Everything below the decision. */
export function drawFacts(item, detail) {
  const { columns, meanings } = detail;
  const parts = [];
  if (item.status !== "restored") {
    parts.push(section("failure", `Not restored: ${columns.error_code ?? item.status}`, h("p", { class: "bad-text", text: columns.error_reason }), detail.error && h("p", { class: "soft", text: detail.error })));
  }
  if (columns.warnings?.length) parts.push(section("warnings", `Warnings (${columns.warnings.length})`, h("ul", { class: "warnings" }, ...columns.warnings.map((text) => h("li", { text })))));
  const figures = FIGURES.filter((name) => columns[name] !== null && columns[name] !== undefined && columns[name] !== "");
  const sizes = columns.output_width ? [["size", `${columns.width} × ${columns.height}  →  ${columns.output_width} × ${columns.output_height}`]] : [];
  if (figures.length || sizes.length) parts.push(section("figures", "Figures", list([...sizes, ...figures.map((name) => [called(name), name === "damage_share" ? `${(columns[name] * 100).toFixed(2)}%` : plain(columns[name]), meanings[name]])])));
  if (columns.caption || columns.prompt) {
    parts.push(section("caption", "Description", list([["caption", columns.caption ?? "", meanings.caption, true], ["prompt", columns.prompt ?? "", meanings.prompt, true], ["from", [columns.caption_source, columns.caption_model].filter(Boolean).join(", "), meanings.caption_source]].filter(([, value]) => value))));
  }
  if (columns.film?.facts) {
    const { facts, shots = [], filled = [] } = columns.film;
    parts.push(section("film", "Film", list([["frames", plain(columns.frames)], ["rate", `${facts.rate} a second`], ["source", `${facts.format}, ${facts.codec}, ${facts.pixel_format}`], ["shots", plain(shots.length)], ["filled frames", plain(filled.length)]])));
  }
  parts.push(historySection(detail.history));
  if (columns.settings && typeof columns.settings === "object") {
    parts.push(section("settings", "Settings", list(Object.entries(columns.settings).map(([name, value]) => [name.replaceAll("_", " "), value === "" ? "empty" : plain(value), detail.settings_of_others[name]]))));
  }
  parts.push(section("origin", "Provenance", list(ORIGIN.filter((name) => plain(columns[name]) !== "").map((name) => [name.replaceAll("_", " "), plain(columns[name]), meanings[name], /sha256|digest|identity|path|software/.test(name)]))));
  if (detail.events.length) parts.push(section("events", "Events", h("ol", { class: "events" }, ...detail.events.map((event) => h("li", {}, h("b", { text: event.type }), h("span", { class: "soft", text: ` ${event.time.split("/").pop().replace("T", " ").slice(0, 19)}` }), h("div", { text: event.detail }))))));
  if (item.kind !== "film") parts.push(metadataSection(item));
  fill(by("panel-facts"), ...parts);
}

export function historySection(history) {
  const rows = [...history].reverse().map((each) => {
    const chosen = Object.entries(each.settings).map(([name, value]) => `${name} ${value}`).join(", ");
    const what = each.decision === "undo" ? "Taken back" : WORDS[each.decision];
    return h("li", { class: each.about_this ? "" : "past" }, h("b", { class: `verb ${each.decision}`, text: `${SIGNS[each.decision] ?? "↶"} ${what}` }), h("span", { class: "soft", text: ` ${each.reviewer}, ${new Date(each.decided_at).toLocaleString()}${each.about_this ? "" : ", of an earlier result"}` }), chosen && h("div", { text: chosen }), each.note && h("div", { class: "said", text: each.note }));
  });
  return section("history", `Decisions (${history.length})`, rows.length ? h("ol", { class: "history" }, ...rows) : h("p", { class: "soft", text: "Nobody has decided yet." }));
}

/** Read when it is opened: both files are read for it. */
function metadataSection(item) {
  const place = h("div", {}, h("p", { class: "soft", text: "Reading…" }));
  const made = section("metadata", "Metadata before and after", place);
  let asked = false;
  const read = async () => {
    if (asked || !made.open) return;
    asked = true;
    try {
      const { scan, result, problems } = await loadMetadata(item.id);
      const names = [...new Set([...Object.keys(scan), ...Object.keys(result)])];
      const rows = names.map((name) => h("tr", { class: scan[name] === result[name] ? "" : "changed" }, h("th", { scope: "row", text: name }), h("td", { text: scan[name] ?? "–" }), h("td", { text: scan[name] === result[name] && name in scan ? "the same" : result[name] ?? "–" })));
      fill(place, ...problems.map((text) => h("p", { class: "bad-text", text })), rows.length ? h("table", { class: "metadata" }, h("thead", {}, h("tr", {}, h("th", { text: "" }), h("th", { scope: "col", text: "scan" }), h("th", { scope: "col", text: "result" }))), h("tbody", {}, ...rows)) : h("p", { class: "soft", text: "Neither file says anything beside its pixels." }));
    } catch (error) {
      fill(place, h("p", { class: "bad-text", text: error.message }));
      asked = false;
    }
  };
  made.addEventListener("toggle", read);
  read();
  return made;
}
