"use strict";
// Replaces each live part of the page by what the server sends for it.
const stale = document.getElementById("stale");
const HELD_MS = 1000;
let pressed = 0;
addEventListener("pointerdown", () => { pressed = Date.now(); });

// A click is lost when what it began on is gone at its end, and so is text that is being selected.
const busy = () => Date.now() - pressed < HELD_MS || !getSelection().isCollapsed;
const stops = (part) => [...part.querySelectorAll("a, button")];

function replace(part, html) {
  const focused = stops(part).indexOf(document.activeElement);
  const next = new DOMParser().parseFromString(html, "text/html").body;
  part.replaceChildren(...next.childNodes);
  stops(part)[focused]?.focus({preventScroll: true});
}

for (const part of document.querySelectorAll("[data-live]")) {
  const source = new EventSource(part.dataset.live);
  let answered = Date.now();
  source.onmessage = (event) => {
    answered = Date.now();
    stale.hidden = true;
    if (!busy()) replace(part, event.data);
  };
  source.addEventListener("end", () => { source.close(); location.reload(); });
  source.onerror = () => {
    const seconds = Math.round((Date.now() - answered) / 1000);
    stale.hidden = false;
    stale.textContent = `The console does not answer: what is below is ${seconds} s old.`;
  };
}
