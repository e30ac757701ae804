// What the page knows, and who wants to hear of changes.

export const state = {
  items: [], // all, in order of path
  byId: new Map(),
  shown: [], // those that pass the filters, sorted
  at: 0, // place in `shown` of the one with the focus
  chosen: new Set(), // ids that were selected
  decisions: {}, // id -> [decision, reviewer]
  columns: new Set(), // of the manifest, that some item has a value in
  reviewer: "",
  output: "",
  version: "", // of the manifest
  mark: "", // of the decisions
  total: 0,
  undoable: [], // lists of ids, newest last
};

const hearers = new Map();

export function on(event, run) {
  hearers.set(event, [...(hearers.get(event) ?? []), run]);
}

export function emit(event, ...given) {
  for (const run of hearers.get(event) ?? []) run(...given);
}

export const WORDS = { accept: "Accepted", reject: "Rejected", redo: "To be redone", none: "Undecided" };
export const SIGNS = { accept: "✓", reject: "✕", redo: "↻", none: "" };

export const standing = (item) => state.decisions[item.id]?.[0] ?? "none";

/** Decisions by id, null where none holds any more. */
export function takeDecisions(changed) {
  for (const [id, decision] of Object.entries(changed)) {
    if (decision) state.decisions[id] = decision;
    else delete state.decisions[id];
  }
}

/** Cards of the server, lists by column, as items. */
export function takeItems(cards) {
  const { columns, names } = cards;
  const value = (name, at) => (columns[name] ? columns[name][at] : null);
  state.columns = new Set(Object.keys(columns).filter((name) => columns[name].some((each) => each !== null && each !== false && each !== "")));
  state.total = cards.total;
  state.items = columns.item_id.map((id, at) => {
    const path = columns.source_path[at];
    const slash = path.lastIndexOf("/");
    const warnings = columns.warnings[at].map((number) => names.warnings[number]);
    return {
      id,
      path,
      folder: slash < 0 ? "" : path.slice(0, slash),
      name: path.slice(slash + 1),
      status: names.status[columns.status[at]],
      kind: names.media_kind[columns.media_kind[at]] || "photo",
      width: columns.width[at],
      height: columns.height[at],
      outputWidth: columns.output_width[at],
      outputHeight: columns.output_height[at],
      frames: columns.frames[at],
      pages: columns.pages[at],
      caption: columns.caption[at],
      warnings,
      code: names.error_code[columns.error_code[at]],
      reason: columns.error_reason[at],
      lq_psnr_db: value("lq_psnr_db", at),
      trust: value("trust", at),
      consistency_worst_db: value("consistency_worst_db", at),
      needsReview: Boolean(value("needs_review", at)),
      sensitive: value("sensitive", at),
      trained: columns.model_trained[at],
      damaged: columns.damage_mask_sha256[at],
      scanMark: columns.source_sha256[at],
      resultMark: columns.output_sha256[at],
      text: `${path}\n${columns.caption[at]}\n${warnings.join("\n")}\n${columns.error_reason[at] ?? ""}`.toLowerCase(),
    };
  });
  state.byId = new Map(state.items.map((item) => [item.id, item]));
}
