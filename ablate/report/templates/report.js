"use strict";
// Everything is there without this: it sorts tables, says what a line or a mark is, and hides a curve.
const sorted = new Map(), hidden = new Set(); // by place in the page, so that they outlive a part that is made anew

const value = (text) => {
  const found = /^\s*(<\s*)?([+\-−]?[\d,]*\.?\d+(?:e[+\-−]?\d+)?)/i.exec(text);
  return found ? Number(found[2].replaceAll("−", "-").replaceAll(",", "")) - (found[1] ? 1e-9 : 0) : NaN;
};

const compare = (a, b) => {
  const x = value(a), y = value(b);
  if (!Number.isNaN(x) && !Number.isNaN(y)) return x - y;
  if (Number.isNaN(x) !== Number.isNaN(y)) return Number.isNaN(x) ? 1 : -1;
  return a.localeCompare(b, "en");
};

const sort = (table, place) => {
  const { column, way } = sorted.get(place) ?? {}, body = table.tBodies[0];
  const rows = [...body.rows].sort((a, b) => a.dataset.row - b.dataset.row);
  if (way) {
    const empty = (row) => ["", "–"].includes(row.cells[column].textContent.trim());
    rows.sort((a, b) => empty(a) - empty(b) || way * compare(a.cells[column].textContent, b.cells[column].textContent));
  }
  body.append(...rows);
  [...table.tHead.rows[0].cells].forEach((cell, index) => {
    if (way && index === column) cell.setAttribute("aria-sort", way > 0 ? "ascending" : "descending");
    else cell.removeAttribute("aria-sort");
  });
};

const sortable = (table, place) => {
  [...table.tBodies[0].rows].forEach((row, index) => (row.dataset.row = index));
  [...table.tHead.rows[0].cells].forEach((cell, column) => {
    if (!cell.textContent) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...cell.childNodes);
    button.addEventListener("click", () => {
      const now = sorted.get(place);
      const way = now?.column !== column ? 1 : { 1: -1, [-1]: 0, 0: 1 }[now.way];
      sorted.set(place, { column, way });
      sort(table, place);
    });
    cell.append(button);
  });
  if (sorted.has(place)) sort(table, place);
};

const tip = document.body.appendChild(document.createElement("div"));
tip.className = "tip";
tip.hidden = true;

const numbers = (text) => (text ? text.split(" ").map(Number) : []);

const corners = (line) => {
  const path = [...line.children].find((child) => child.tagName === "path")?.getAttribute("d") ?? "";
  const found = (path.match(/-?[\d.]+(?:e-?\d+)?/g) ?? []).map(Number);
  const marks = [...line.querySelectorAll("use")].flatMap((use) => [Number(use.getAttribute("x")), Number(use.getAttribute("y"))]);
  const all = found.length > 2 ? found : marks;
  return Array.from({ length: all.length / 2 }, (_, index) => ({ x: all[2 * index], y: all[2 * index + 1] }));
};

const distance = ({ x, y }, line) => {
  let least = Infinity;
  line.forEach((end, index) => {
    const start = line[Math.max(0, index - 1)], dx = end.x - start.x, dy = end.y - start.y, length = dx * dx + dy * dy;
    const along = length ? Math.min(1, Math.max(0, ((x - start.x) * dx + (y - start.y) * dy) / length)) : 0;
    least = Math.min(least, Math.hypot(x - start.x - along * dx, y - start.y - along * dy));
  });
  return least;
};

const told = (line, point) => {
  const { name, told = "", along = "", x = "", y = "" } = line.dataset, xs = numbers(x), ys = numbers(y), ends = corners(line);
  if (!xs.length) return [name, told];
  const first = ends[0], last = ends[ends.length - 1], width = last.x - first.x;
  const wanted = xs[0] + (width ? (point.x - first.x) / width : 0) * (xs[xs.length - 1] - xs[0]);
  const nearest = xs.reduce((best, at, index) => (Math.abs(at - wanted) < Math.abs(xs[best] - wanted) ? index : best), 0);
  return [name, `${along} ${xs[nearest]}: ${y.split(" ")[nearest].replace("-", "−")}`];
};

const pointed = (svg, figure) => {
  const lines = [...svg.querySelectorAll("g[data-name]")];
  if (!lines.length) return;
  const leave = () => {
    tip.hidden = true;
    svg.querySelectorAll(".other").forEach((part) => part.classList.remove("other"));
  };
  const move = (event) => {
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    const shown = lines.filter((line) => !line.classList.contains("hidden"));
    const rows = shown.every((line) => !line.dataset.x);
    const far = (line) => (rows ? Math.abs((corners(line)[0]?.y ?? Infinity) - point.y) : distance(point, corners(line)));
    const [best, gap] = shown.reduce((now, line) => (far(line) < now[1] ? [line, far(line)] : now), [null, rows ? 9 : 14]);
    if (!best || gap === Infinity) return leave();
    svg.querySelectorAll("[data-series]").forEach((part) => {
      part.classList.toggle("other", part.dataset.series !== best.dataset.series);
    });
    const [name, words] = told(best, point), strong = document.createElement("strong");
    strong.textContent = name;
    tip.replaceChildren(strong, words);
    tip.hidden = false;
    tip.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8))}px`;
    tip.style.top = `${event.clientY + 18 + tip.offsetHeight > innerHeight ? event.clientY - tip.offsetHeight - 12 : event.clientY + 18}px`;
  };
  svg.addEventListener("pointermove", move);
  svg.addEventListener("pointerdown", move);
  svg.addEventListener("pointerleave", leave);
};

const hideable = (figure, place) => {
  if (!figure.querySelector("g[data-series][data-x]")) return;
  figure.querySelectorAll(".key li").forEach((entry, index) => {
    const button = document.createElement("button"), name = `${place} ${entry.textContent.trim()}`;
    const show = () => {
      button.setAttribute("aria-pressed", String(!hidden.has(name)));
      figure.querySelectorAll(`[data-series="${index}"]`).forEach((part) => part.classList.toggle("hidden", hidden.has(name)));
    };
    button.type = "button";
    button.title = "Show or hide";
    button.append(...entry.childNodes);
    button.addEventListener("click", () => {
      if (!hidden.delete(name)) hidden.add(name);
      show();
    });
    entry.append(button);
    show();
  });
};

const enliven = (part) => {
  part.querySelectorAll("table").forEach((table, index) => sortable(table, `${part.id} ${index}`));
  part.querySelectorAll("figure").forEach((figure, index) => {
    figure.querySelectorAll("svg").forEach((svg) => pointed(svg, figure));
    hideable(figure, `${part.id} ${index}`);
  });
};

document.querySelectorAll("main > .scroll, main section").forEach(enliven);
