// Keys, loading ahead and swapping in place. Without this file the page's forms do the same work.
"use strict";

const SETTLE = 250; // milliseconds in which a second tap of a double tap is not taken for an answer
const ARROWS = { ArrowLeft: "1", ArrowRight: "2" };
let busy = false;
let tapped = false;
let tapEnded = -SETTLE;

const main = () => document.querySelector("main");
const say = (text) => { document.getElementById("alert").textContent = text; };

/** Wait until every picture on the page can be seen. */
async function loaded() {
  const pictures = [...main().querySelectorAll("img")];
  main().classList.add("waiting");
  const done = await Promise.allSettled(pictures.map((picture) => picture.decode()));
  main().classList.remove("waiting");
  if (done.some((each) => each.status === "rejected")) {
    say("A picture did not load. Please reload this page.");
  }
  for (const address of main().dataset.ahead?.split(" ") ?? []) new Image().src = address;
}

/** Put the server's next page in the place of this one. */
async function swap(text) {
  const page = new DOMParser().parseFromString(text, "text/html");
  const samePair = trialOf(page) !== undefined && trialOf(page) === trialOf(document);
  document.title = page.title;
  if (samePair) { // the pictures stay as they are: nothing flickers, nothing scrolls
    for (const part of ["header", ".ask"]) {
      document.querySelector(part).replaceWith(page.querySelector(part));
    }
  } else {
    main().replaceWith(page.querySelector("main"));
    window.scrollTo(0, 0);
  }
  document.querySelector("h1").focus({ preventScroll: true });
  if (!samePair) await loaded();
}

const trialOf = (page) => page.querySelector("input[name=trial]")?.value;

async function send(form, button) {
  if (busy || (tapped && performance.now() - tapEnded < SETTLE)) return;
  busy = true;
  const byTap = tapped;
  button?.classList.add("chosen");
  try {
    const body = new URLSearchParams(new FormData(form));
    if (button?.name) body.set(button.name, button.value);
    const reply = await fetch(form.action, { method: "POST", body });
    const text = await reply.text();
    if (!reply.ok) throw new Error(text);
    say("");
    await swap(text);
  } catch {
    say("That could not be saved: the study cannot be reached. Your answers of before are safe; please try again.");
    button?.classList.remove("chosen");
  } finally {
    busy = false;
    if (byTap) tapEnded = performance.now();
  }
}

// A key has no clicks to count. This comes before the form is sent.
document.addEventListener("click", (event) => { tapped = event.detail > 0; }, true);

document.addEventListener("submit", (event) => {
  if (event.target.action.endsWith("/begin")) return; // the cookie comes with a page of its own
  event.preventDefault();
  if (!main().classList.contains("waiting")) send(event.target, event.submitter);
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const key = ARROWS[event.key] ?? event.key;
  const button = [...document.querySelectorAll("button[data-key]:enabled")]
    .find((each) => each.dataset.key === key);
  if (!button) return;
  event.preventDefault();
  button.click();
});

loaded();
