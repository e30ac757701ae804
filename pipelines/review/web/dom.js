// Elements made of values, never of markup: what comes from an archive stays text.

export const by = (id) => document.getElementById(id);

/** An element. `props`: `class`, `text`, `on` (listeners), `data`; properties that exist are set, the rest become attributes. */
export function h(tag, props = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") made.className = value;
    else if (name === "text") made.textContent = value;
    else if (name === "on") for (const [event, run] of Object.entries(value)) made.addEventListener(event, run);
    else if (name === "data") Object.assign(made.dataset, value);
    else if (name in made && !name.startsWith("aria")) made[name] = value;
    else made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

export function fill(parent, ...children) {
  parent.replaceChildren(...children.filter((child) => child !== null && child !== undefined && child !== false));
}

let fading = 0;

/** A line at the foot of the page, read out by screen readers; with a button where `action` is given. */
export function toast(text, { bad = false, action = null } = {}) {
  const place = by("toast");
  fill(place, h("span", { text }), action && h("button", { type: "button", class: "link", text: action.label, on: { click: action.run } }));
  place.className = `toast shown${bad ? " bad" : ""}`;
  clearTimeout(fading);
  fading = setTimeout(() => place.classList.remove("shown"), bad ? 9000 : 4500);
}

/** Run once things have been quiet for a while. */
export function quietly(run, milliseconds) {
  let timer = 0;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => run(...given), milliseconds);
  };
}

export const whole = (value) => Number(value).toLocaleString("en");

export function keep(name, value) {
  try {
    localStorage.setItem(`faitharchive-${name}`, value);
  } catch { /* a browser that keeps nothing */ }
}

export function kept(name) {
  try {
    return localStorage.getItem(`faitharchive-${name}`);
  } catch {
    return null;
  }
}
