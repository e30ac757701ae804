// What the page asks of its server. Every address is relative: the key is in the page's own address.

async function answer(response) {
  if (response.ok) return response.json();
  let text = `${response.status} ${response.statusText}`;
  try {
    const detail = (await response.json()).detail;
    text = typeof detail === "string" ? detail : detail.map((each) => each.msg).join("; ");
  } catch { /* not JSON: the status says enough */ }
  throw new Error(text);
}

async function ask(address, options) {
  let response;
  try {
    response = await fetch(address, options);
  } catch {
    throw new Error("The review server does not answer. Is faitharchive review still running?");
  }
  return answer(response);
}

const path = (id) => encodeURIComponent(id);

export const loadItems = () => ask("api/items");
export const loadState = (known = "") => ask(`api/state?known=${known}`);
export const loadItem = (id) => ask(`api/items/${path(id)}`);
export const loadMetadata = (id) => ask(`api/items/${path(id)}/metadata`);
export const loadPair = (id, number) => ask(`api/items/${path(id)}/pair/${number}`);
export const decide = (body) =>
  ask("api/decisions", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });

export const thumbOf = (item, side) => `thumbs/${path(item.id)}/${side}?v=${side === "scan" ? item.scanMark : item.resultMark}`;
export const tileOf = (item, side, number, level, x, y) =>
  `tiles/${path(item.id)}/${side}/${number}/${level}/${x}_${y}?v=${side === "scan" ? item.scanMark : item.resultMark}`;
export const overlayOf = (item, name, number) => `overlays/${path(item.id)}/${name}/${number}?v=${item.resultMark}`;
export const clipOf = (item) => `clips/${path(item.id)}?v=${item.resultMark}`;
