// Scan and result over each other, parted by a line. With compare.css, and this in the page:
//   <figure class="compare"><img src="RESULT"><img class="compare-scan" src="SCAN">
//     <input class="compare-range" type="range" min="0" max="100" step="0.5" value="50" aria-label="..."><span class="compare-line"></span></figure>
// The range is what mouse, finger, arrows, Home and End move. Figures that come later work, too. No globals but `comparison`.
"use strict";
const comparison = {
  /** Show this part of the scan, 0 to 100, in a figure of class `compare`. */
  set(figure, part) {
    const range = figure.querySelector(".compare-range");
    range.value = part;
    range.setAttribute("aria-valuetext", `${Math.round(range.value)}% scan`);
    figure.style.setProperty("--part", `${range.value}%`);
  },
  /** The part of the scan that is shown, 0 to 100. */
  get(figure) {
    return Number(figure.querySelector(".compare-range").value);
  },
};
document.addEventListener("input", (event) => {
  if (event.target.matches(".compare-range")) comparison.set(event.target.parentElement, event.target.value);
});
