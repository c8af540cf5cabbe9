// Counts down, lists the keys, and says when a page can no longer be refreshed. htmx does the
// refreshing. Every page works without either.
(() => {
  "use strict";
  const root = document.documentElement;
  const drift = Date.parse(root.dataset.now) - Date.now();
  const now = () => Date.now() + drift;

  const span = (ms) => {
    const minutes = Math.round(Math.abs(ms) / 60000);
    if (Math.abs(ms) < 60000) return "less than 1 min";
    const hours = Math.floor(minutes / 60);
    if (hours >= 96) return `${Math.floor(hours / 24)} d ${hours % 24} h`;
    return hours > 0 ? `${hours} h ${minutes % 60} min` : `${minutes} min`;
  };
  const tick = () => {
    for (const t of document.querySelectorAll("[data-until]")) {
      const left = Date.parse(t.dataset.until) - now();
      t.textContent = left < 0 ? `${span(left)} over` : span(left);
    }
    for (const t of document.querySelectorAll("[data-since]")) t.textContent = `${span(now() - Date.parse(t.dataset.since))} so far`;
    for (const t of document.querySelectorAll("[data-ago]")) {
      const past = now() - Date.parse(t.dataset.ago);
      t.textContent = past < 0 ? `in ${span(past)}` : `${span(past)} ago`;
    }
  };
  if ("tick" in root.dataset) setInterval(tick, 15000);

  // A page that has silently stopped is worse than none: say so, and since when.
  const stale = document.getElementById("stale");
  let fresh = new Date();
  const old = (why) => { stale.textContent = `◐ Not refreshed since ${fresh.toLocaleTimeString()}: ${why}`; };
  const polls = (e) => e.detail.ctx?.sourceEvent?.type === "every";
  document.addEventListener("htmx:before:request", (e) => {
    // Nothing moves under a reader who selects text, and a hidden page asks for nothing.
    if (polls(e) && (document.hidden || String(getSelection()) !== "")) e.preventDefault();
  });
  document.addEventListener("htmx:before:response", (e) => {
    const { response, request } = e.detail.ctx;
    if (response.raw.ok && !response.raw.redirected) {
      if (polls(e)) { fresh = new Date(); stale.textContent = ""; }
      return;
    }
    e.preventDefault(); // an error page or the sign-in page does not belong inside this one
    if (!polls(e)) location.href = request.action;
    else old(response.raw.redirected ? "you are signed out. Reload the page to sign in." : `the server answers ${response.raw.status}.`);
  });
  document.addEventListener("htmx:error", (e) => { if (polls(e)) old("the server does not answer."); });

  // A page that is open hears of what happens, and fetches itself again; a form says that the incident
  // moved on, and keeps what was written. A stream that says nothing for too long, as after a sleep, is
  // opened anew and asked for what came since. A page that nobody looks at has none: a browser keeps six
  // connections to one server without HTTP/2, and six such pages would leave none for the next.
  const listening = () => document.querySelector("[data-stream]:not([data-stream=''])");
  let source, heard = 0, waits = false, last = 0, seen;
  const refresh = () => {
    const live = document.getElementById("live");
    if (!live) { stale.textContent = "◐ The incident moved on since this form was opened. What you wrote is kept; submitting shows what others did."; return; }
    if (document.hidden || String(getSelection()) !== "") { waits = true; return; }
    const wait = last + 500 - Date.now(); // a storm is fetched twice a second
    if (wait > 0) { if (!waits) { waits = true; setTimeout(() => { if (waits) { waits = false; refresh(); } }, wait); } return; }
    waits = false; last = Date.now();
    live.dispatchEvent(new Event("every"));
  };
  const listen = () => {
    const at = listening();
    if (!at || !window.EventSource) return;
    source?.close();
    heard = Date.now();
    const address = new URL(at.dataset.stream, location.href);
    address.searchParams.set("seen", seen ?? at.dataset.seen);
    source = new EventSource(address);
    for (const name of ["still", "moved", "alive", "here"]) source.addEventListener(name, (e) => {
      heard = Date.now();
      if (e.lastEventId) seen = e.lastEventId;
      if (name === "moved") refresh();
      if (name === "here") {
        const others = JSON.parse(e.data);
        const line = document.getElementById("here");
        if (line) line.textContent = others.length ? `Also open here: ${others.map((n) => `\u2068${n}\u2069`).join(", ")}` : "";
      }
    });
    source.addEventListener("error", () => { if (source?.readyState === EventSource.CLOSED) heard = 0; });
  };
  if (listening()) {
    const quit = () => { source?.close(); source = undefined; };
    const wake = () => {
      if (document.hidden) return quit();
      if (!source || Date.now() - heard > 40000) listen();
      if (waits) { waits = false; refresh(); }
    };
    wake();
    setInterval(wake, 5000);
    document.addEventListener("visibilitychange", wake);
    addEventListener("online", () => { heard = 0; wake(); });
    addEventListener("pageshow", wake);
    addEventListener("pagehide", quit);
  }
  // What was written into a part and not saved yet comes back after a reload or a crash of the browser.
  // It is kept for this tab alone, goes when it was saved, and never takes the place of a refused text.
  const kept = [...document.querySelectorAll("textarea[data-keep]")];
  const refused = document.getElementById("trouble");
  for (const area of kept) {
    const name = `keep:${area.dataset.keep}`;
    const say = (text) => { const s = area.form.querySelector("[data-kept]"); if (s) s.textContent = text; };
    const was = area.form.elements.was;
    const old = JSON.parse(sessionStorage.getItem(name) ?? "null");
    if (old && (old.text.trim() === area.value.trim() || refused)) sessionStorage.removeItem(name);
    else if (old) {
      area.value = old.text;
      was.value = old.was; // somebody else's text is not overwritten unseen
      say("Not saved yet: your text is back.");
    }
    area.addEventListener("input", () => {
      try { sessionStorage.setItem(name, JSON.stringify({ text: area.value, was: was.value })); } catch { return; }
      say("Not saved yet.");
    });
  }
  document.querySelector("form[action='/signout']")?.addEventListener("submit", () => sessionStorage.clear());

  // A line of the log is dragged onto the timeline of the review. Its button does the same.
  const curated = document.getElementById("curated")?.closest("section");
  let dragged;
  for (const line of curated ? document.querySelectorAll("form.pickline") : []) {
    line.draggable = true;
    line.addEventListener("dragstart", (e) => { dragged = line; e.dataTransfer.effectAllowed = "copy"; e.dataTransfer.setData("text/plain", line.elements.text.value); curated.classList.add("drop"); });
    line.addEventListener("dragend", () => { dragged = undefined; curated.classList.remove("drop"); });
  }
  curated?.addEventListener("dragover", (e) => { if (dragged) { e.preventDefault(); e.dataTransfer.dropEffect = "copy"; } });
  curated?.addEventListener("drop", (e) => { if (dragged) { e.preventDefault(); dragged.requestSubmit(dragged.querySelector("button")); } });

  document.getElementById("trouble")?.focus();
  if (location.pathname === "/find") document.getElementById("f-q")?.focus();

  const door = (i) => document.querySelectorAll(".bar a")[i]?.click();
  const to = (path) => () => { location.href = path; };
  const keys = { b: ["the board", to("/")], c: ["all clocks", to("/clocks")], l: ["the notices of all incidents", to("/notices")], a: ["the access log", to("/accesses")], e: ["evidence", to("/evidence")], "/": ["go to a page, an incident or a rule", to("/find")],
    p: ["the policy", to("/policy")],
    n: ["write a note", () => document.getElementById("note")?.focus()],
    t: ["the timeline", () => document.getElementById("timeline")?.scrollIntoView()],
    "1": ["contain", () => door(0)], "2": ["scope", () => door(1)], "3": ["notify", () => door(2)], "4": ["restore", () => door(3)] };
  const list = () => {
    const shown = document.querySelector(".keys");
    if (shown) { shown.remove(); return; }
    const box = document.createElement("section");
    box.className = "keys";
    box.tabIndex = -1;
    box.setAttribute("aria-label", "Keys");
    const ul = document.createElement("ul");
    for (const [key, [what]] of Object.entries(keys)) {
      const li = document.createElement("li");
      const kbd = document.createElement("kbd");
      kbd.textContent = key;
      li.append(kbd, ` ${what}`);
      ul.append(li);
    }
    box.append(ul);
    document.querySelector("main").prepend(box);
    box.focus();
  };
  document.addEventListener("keydown", (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey || e.target.closest?.("input, textarea, select")) return;
    if (e.key === "?") { e.preventDefault(); list(); return; }
    if (e.key === "Escape") document.querySelector(".keys")?.remove();
    if (keys[e.key]) { e.preventDefault(); keys[e.key][1](); }
  });
})();
