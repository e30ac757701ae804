// The report's gallery: filters, search, detail or whole, one photograph large; and light or dark. Needs compare.js before it.
"use strict";
(() => {
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const one = (selector, within = document) => within.querySelector(selector);
  const cards = all(".card");
  let filter = "all";
  let words = "";
  let open = null;

  function look() {
    let count = 0;
    for (const card of cards) {
      const fits = filter === "all" || card.dataset.tags.split(" ").includes(filter);
      card.hidden = !(fits && card.dataset.text.includes(words));
      count += !card.hidden;
    }
    const text = one(".toolbar .count");
    if (text) text.textContent = `${count} of ${cards.length} shown`;
  }

  function turn(card, figure, detail) {
    const pair = detail && card.dataset.detail ? card.dataset.detail : card.dataset.whole;
    const [scan, result, width, height] = pair.split(" ");
    const [under, over] = all("img", figure);
    for (const image of [under, over]) { image.width = width; image.height = height; }
    under.src = `pictures/${result}`;
    over.src = `pictures/${scan}`;
    figure.dataset.detail = detail ? "1" : "";
    return width / height;
  }

  function toggle(card) {
    const figure = one(".compare", card);
    const detail = !figure.dataset.detail;
    turn(card, figure, detail);
    one(".detail", card)?.setAttribute("aria-pressed", detail);
  }

  const dialog = one("#large");
  const large = one(".compare", dialog);

  function show(card, detail) {
    open = card;
    const shape = turn(card, large, detail);
    dialog.style.setProperty("--shape", shape);
    comparison.set(large, 50);
    one(".name", dialog).textContent = one(".name", card).textContent;
    one("#large-detail").hidden = !card.dataset.detail;
    one("#large-detail").setAttribute("aria-pressed", Boolean(detail && card.dataset.detail));
    if (!dialog.open) dialog.showModal();
    one(".compare-range", large).focus();
  }

  function step(by) {
    const seen = cards.filter((card) => !card.hidden && card.dataset.whole);
    const next = seen[(seen.indexOf(open) + by + seen.length) % seen.length];
    if (next) show(next, large.dataset.detail);
  }

  document.addEventListener("click", (event) => {
    const card = event.target.closest(".card");
    if (event.target.matches(".detail")) toggle(card);
    else if (event.target.matches(".enlarge")) show(card, one(".compare", card).dataset.detail);
    else if (event.target.matches("[data-filter]")) {
      filter = event.target.dataset.filter;
      for (const button of all("[data-filter]")) button.setAttribute("aria-pressed", button === event.target);
      look();
    } else if (event.target.matches("#theme")) {
      const dark = getComputedStyle(document.documentElement).colorScheme === "dark";
      document.documentElement.dataset.theme = dark ? "light" : "dark";
    } else if (event.target.matches("#large-close") || event.target === dialog) dialog.close();
    else if (event.target.matches("#large-next")) step(1);
    else if (event.target.matches("#large-previous")) step(-1);
    else if (event.target.matches("#large-detail")) show(open, !large.dataset.detail);
  });

  one("#search")?.addEventListener("input", (event) => { words = event.target.value.toLowerCase(); look(); });

  let before = null;
  dialog?.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const key = event.key.toLowerCase();
    if (key === "n" || key === "p") step(key === "n" ? 1 : -1);
    else if (key === "d" && open.dataset.detail) show(open, !large.dataset.detail);
    else if (key === "f" && before === null) { before = comparison.get(large); comparison.set(large, before > 50 ? 0 : 100); }
    else return;
    event.preventDefault();
  });
  dialog?.addEventListener("keyup", (event) => {
    if (event.key.toLowerCase() === "f" && before !== null) { comparison.set(large, before); before = null; }
  });
  look();
})();
