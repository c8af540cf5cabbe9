// Refreshes what is shown and counts down. Every page works without it.
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

  // A page is replaced only while nobody writes in it, has opened something in it or selects from it.
  const busy = () => {
    const at = document.activeElement;
    return (at && at !== document.body && at.closest("main") && at.id !== "main") || String(getSelection()) !== "" ||
      [...document.querySelectorAll("main textarea, main input[type=text]")].some((f) => f.value !== f.defaultValue) ||
      document.querySelector("main details[open]");
  };
  const refresh = async () => {
    if (document.hidden || busy()) return;
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" }, redirect: "error" });
      if (!answer.ok) return;
      const next = new DOMParser().parseFromString(await answer.text(), "text/html");
      const main = next.querySelector("main");
      if (main && !busy()) document.querySelector("main").replaceWith(main);
    } catch { /* the next try is soon */ }
  };
  if ("live" in root.dataset && "tick" in root.dataset) setInterval(refresh, 15000);

  document.getElementById("trouble")?.focus();

  const keys = { b: ["the board", () => { location.href = "/"; }],
    p: ["the policy", () => { location.href = "/policy"; }],
    n: ["write a note", () => document.getElementById("note")?.focus()],
    t: ["the timeline", () => document.getElementById("timeline")?.scrollIntoView()],
    "1": ["contain", () => door(0)], "2": ["scope", () => door(1)], "3": ["notify", () => door(2)], "4": ["restore", () => door(3)] };
  const door = (i) => document.querySelectorAll(".bar a")[i]?.click();
  const list = () => {
    const old = document.querySelector(".keys");
    if (old) { old.remove(); return; }
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
    if (e.ctrlKey || e.metaKey || e.altKey || e.target.closest("input, textarea, select")) return;
    if (e.key === "?") { e.preventDefault(); list(); return; }
    if (e.key === "Escape") document.querySelector(".keys")?.remove();
    if (keys[e.key]) { e.preventDefault(); keys[e.key][1](); }
  });
})();
