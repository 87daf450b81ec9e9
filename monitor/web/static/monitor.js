// Refreshes the page in place: what is the same stays the same element, so that scroll, focus, selected text, opened
// details and what was typed are kept. Without this script a <meta> refresh does it, and loses these.
"use strict";

(() => {
  const seconds = Number(document.body.dataset.refresh);
  const note = document.getElementById("gone");
  if (!(seconds > 0) || note === null) return;

  const PATIENCE = 10000;
  const TYPED = "input:not([type=hidden]), select, textarea";
  let good = new Date();
  let timer = 0;

  const keyOf = (node) => (node.nodeType === Node.ELEMENT_NODE ? node.id || node.dataset.key || "" : "");

  const isLike = (now, next) =>
    now.nodeType === next.nodeType && now.nodeName === next.nodeName && keyOf(now) === keyOf(next);

  function takeAttributes(now, next) {
    for (const { name } of [...now.attributes]) {
      if (!next.hasAttribute(name) && name !== "open") now.removeAttribute(name);
    }
    for (const { name, value } of next.attributes) {
      if (name !== "open" && now.getAttribute(name) !== value) now.setAttribute(name, value);
    }
  }

  function takeChildren(now, next) {
    const keyed = new Map([...now.children].filter(keyOf).map((child) => [keyOf(child), child]));
    let place = now.firstChild;
    for (const child of [...next.childNodes]) {
      const key = keyOf(child);
      let found = key ? keyed.get(key) : place;
      if (!found || !isLike(found, child)) found = null;
      if (found === null) {
        now.insertBefore(document.importNode(child, true), place);
        continue;
      }
      if (found === place) place = place.nextSibling;
      else now.insertBefore(found, place);
      take(found, child);
    }
    while (place !== null) {
      const following = place.nextSibling;
      place.remove();
      place = following;
    }
  }

  function take(now, next) {
    if (now === note) return;
    if (now.nodeType !== Node.ELEMENT_NODE) {
      if (now.data !== next.data) now.data = next.data;
      return;
    }
    if (now.matches(TYPED)) return;
    takeAttributes(now, next);
    takeChildren(now, next);
  }

  function show(html) {
    const next = new DOMParser().parseFromString(html, "text/html");
    const focused = document.activeElement;
    document.title = next.title;
    take(document.body, next.body);
    if (focused !== document.activeElement && focused !== null && focused.isConnected) {
      focused.focus({ preventScroll: true });
    }
  }

  function complain(text) {
    const since = good.toISOString().slice(11, 19);
    const words = `${text} What you see is of ${since} UTC; this page tries again by itself.`;
    if (note.textContent !== words) note.textContent = words;
    note.hidden = false;
  }

  async function refresh() {
    try {
      const answer = await fetch(location.href, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
      if (!answer.ok) {
        complain(`The server answers with ${answer.status}.`);
        return;
      }
      show(await answer.text());
      good = new Date();
      note.hidden = true;
    } catch {
      complain("The server does not answer.");
    }
  }

  async function turn() {
    clearTimeout(timer);
    if (!document.hidden) await refresh();
    timer = setTimeout(turn, seconds * 1000);
  }

  timer = setTimeout(turn, seconds * 1000);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) turn();
  });
})();
