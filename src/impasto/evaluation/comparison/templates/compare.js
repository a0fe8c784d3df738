"use strict";
(() => {
  const make = (tag, more) => Object.assign(document.createElement(tag), more);
  const frames = [...document.querySelectorAll(".frame[data-label]")];
  const sources = new Map([["the content", document.getElementById("content").src]]);
  for (const frame of frames) sources.set(frame.dataset.label, frame.querySelector("img").src);

  // A second picture over each painting, uncovered from the left.
  for (const frame of frames) {
    const under = make("img", { className: "under", alt: "" });
    const says = make("span", { className: "says" });
    const grip = make("span", { className: "grip", textContent: "↔" });
    grip.setAttribute("aria-hidden", "true");
    const slider = make("input", { type: "range", min: 0, max: 100, step: 2, value: 0 });
    const show = (percent) => {
      const at = Math.min(100, Math.max(0, percent));
      frame.style.setProperty("--at", at + "%");
      frame.classList.toggle("open", at > 0);
      slider.value = at;
    };
    frame.cover = (name) => {
      const other = name === frame.dataset.label ? "the content" : name;
      under.src = sources.get(other);
      says.textContent = other;
      slider.setAttribute("aria-label", `How much of ${other} lies over ${frame.dataset.label}`);
    };
    const follow = (event) => {
      const box = frame.getBoundingClientRect();
      show((100 * (event.clientX - box.left)) / box.width);
    };
    slider.addEventListener("input", () => show(slider.valueAsNumber));
    frame.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      event.preventDefault();
      frame.setPointerCapture(event.pointerId);
      follow(event);
    });
    frame.addEventListener("pointermove", (event) => {
      if (frame.hasPointerCapture(event.pointerId)) follow(event);
    });
    frame.append(under, make("span", { className: "edge" }), grip, says, slider);
    frame.classList.add("slides");
    frame.cover("the content");
  }

  const beneath = document.getElementById("beneath");
  if (frames.length) {
    const select = make("select");
    for (const name of sources.keys()) select.append(new Option(name));
    select.addEventListener("change", () => frames.forEach((frame) => frame.cover(select.value)));
    const label = make("label");
    label.append("Drag across a painting, or use the arrow keys, to compare it with ", select);
    beneath.append(label);
    beneath.hidden = false;
  }

  // A click on a column's head sorts by it, a second one the other way round.
  const body = document.querySelector("tbody");
  const heads = [...document.querySelectorAll("thead th")];
  heads.forEach((head, column) => {
    const button = make("button", { type: "button" });
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach((each) => each.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const key = (row) => row.cells[column].dataset.value;
      const order = (one, other) => {
        if (!column) return one.cells[0].textContent.localeCompare(other.cells[0].textContent);
        return key(one) - key(other);
      };
      const rows = [...body.rows];
      const known = rows.filter((row) => !column || key(row) !== undefined);
      known.sort((one, other) => (up ? order(one, other) : order(other, one)));
      body.append(...known, ...rows.filter((row) => !known.includes(row)));
    });
  });
})();
