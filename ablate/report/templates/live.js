// The part of the page that follows a study. What comes is the report's own HTML, in which the server has escaped every name.
const main = document.querySelector("main"), parts = document.querySelector("#parts"), lost = document.querySelector("#lost");
let version = Number(main.dataset.version), source = null;

const kept = (part) => {
  // what the reader has opened and scrolled outlives a part that is made anew
  const open = new Set([...part.querySelectorAll("details[open]")].map((one) => one.id));
  const scrolled = [...part.querySelectorAll(".scroll, pre")].map((one) => [one.scrollLeft, one.scrollTop]);
  return () => {
    part.querySelectorAll("details").forEach((one) => (one.open = open.has(one.id)));
    part.querySelectorAll(".scroll, pre").forEach((one, index) => {
      [one.scrollLeft, one.scrollTop] = scrolled[index] ?? [0, 0];
    });
  };
};

const filled = (name, html) => {
  const place = `part-${name}`;
  const part = document.getElementById(place) ?? Object.assign(document.createElement("div"), { id: place });
  if (html === undefined) return part;
  const restore = kept(part), focused = part.contains(document.activeElement);
  const at = focused ? [...part.querySelectorAll("button, summary, [tabindex]")].indexOf(document.activeElement) : -1;
  part.innerHTML = html;
  if (part.firstElementChild?.tagName === "SECTION") enliven(part.firstElementChild);
  restore();
  if (at >= 0) part.querySelectorAll("button, summary, [tabindex]")[at]?.focus({ preventScroll: true });
  return part;
};

const update = ({ order, changed }) => {
  const wanted = order.map((name) => filled(name, changed[name]));
  [...parts.children].forEach((part) => wanted.includes(part) || part.remove());
  wanted.forEach((part, index) => parts.children[index] === part || parts.insertBefore(part, parts.children[index] ?? null));
  tip.hidden = tip.hidden || Object.keys(changed).some((name) => name !== "state");
  clock();
};

const clock = () => {
  document.querySelectorAll("[data-since]").forEach((place) => {
    const seconds = Math.max(0, Math.round(Date.now() / 1000 - place.dataset.since)), minutes = Math.floor(seconds / 60);
    const hours = Math.floor(minutes / 60);
    place.textContent = hours ? `${hours} h ${minutes % 60} min` : minutes ? `${minutes} min ${seconds % 60} s` : `${seconds} s`;
  });
};

// A page that nobody sees has no connection: it costs nothing, and a browser has only six for one address.
const follow = () => {
  source?.close();
  source = null;
  if (document.hidden) return;
  source = new EventSource(`events?since=${version}`);
  source.onopen = () => (lost.hidden = true);
  source.onerror = () => (lost.hidden = false);
  source.onmessage = (event) => {
    version = Number(event.lastEventId);
    update(JSON.parse(event.data));
  };
};

setInterval(clock, 1000);
document.addEventListener("visibilitychange", follow);
clock();
follow();
