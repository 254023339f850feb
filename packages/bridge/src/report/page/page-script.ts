/**
 * The page's script: draws a case's strip when the case is opened, and the tensors of the cell that is chosen. It makes
 * nodes and sets texts, never markup. As it is text for a browser, no back quote stands in it.
 */
export const pageScript = `
"use strict";
(() => {
const { columns, firstDifferent, cases } = JSON.parse(document.getElementById("page-data").textContent);

function node(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  made.append(...children);
  return made;
}

function differs(row, column) {
  return row.levels[column] !== "." && Number(row.levels[column]) >= firstDifferent;
}

function describe({ steps }, row, column) {
  const place = (steps[column] === 0 ? "before step 1" : "step " + steps[column]) + ", " + row.stage;
  if (row.levels[column] === ".") return place + ": not compared";
  const multiple = row.multiples[column];
  const unit = row.byTolerance.includes(column) ? "tolerance" : "noise floor";
  const verdict = differs(row, column) ? "different" : "equal";
  const worst = "; worst is " + row.names[row.worst[column]];
  if (multiple === 0 && verdict === "equal") return place + ": the same";
  return place + ": " + verdict + (multiple === null ? "" : ", " + multiple + " times the " + unit) + worst;
}

const tip = node("div", { class: "tip", hidden: "", "aria-hidden": "true" });
document.body.append(tip);

let tipped;
function showTip(cell, text) {
  tipped = cell;
  tip.textContent = text;
  tip.hidden = false;
  const at = cell.getBoundingClientRect();
  const left = Math.min(at.left, innerWidth - tip.offsetWidth - 8);
  const below = at.bottom + 6;
  const fits = below + tip.offsetHeight < innerHeight;
  tip.style.left = Math.max(left, 8) + "px";
  tip.style.top = (fits ? below : at.top - tip.offsetHeight - 6) + "px";
}

function tensorTable({ tensors }) {
  const head = node("tr", {}, ...columns.map((column) => node("th", { scope: "col" }, column)));
  const rows = tensors.map(([name, ...cells]) =>
    node("tr", { class: cells[1].startsWith("equal") ? "equal" : "different" },
      node("th", { scope: "row" }, name), ...cells.map((cell) => node("td", {}, cell))));
  const table = node("table", { class: "tensors" }, node("thead", {}, head), node("tbody", {}, ...rows));
  return node("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Tensors" }, table);
}

function draw(details) {
  const place = details.querySelector("[data-strip]");
  if (place.drawn) return;
  place.drawn = true;
  const strip = cases[Number(details.dataset.case)];
  const { steps, rows } = strip;
  place.textContent = "";
  if (rows.length === 0) return;

  const labelEvery = steps.length > 80 ? 10 : steps.length > 40 ? 5 : 1;
  const head = node("tr", {}, node("th", { scope: "col" }, "Step"), ...steps.map((step, column) =>
    node("th", { scope: "col", "aria-label": "step " + step },
      node("span", {}, column === 0 || step % labelEvery === 0 ? String(step) : ""))));
  const cells = rows.map((row) => steps.map((_, column) => {
    const level = row.levels[column];
    const name = level === "." ? "none" : "heat level-" + level;
    return node("td", { class: name, role: "gridcell", tabindex: -1, "aria-label": describe(strip, row, column) },
      differs(row, column) ? "✕" : "");
  }));
  const size = steps.length > 80 ? " narrow" : steps.length > 40 ? " middle" : "";
  const table = node("table", { class: "grid" + size, role: "grid", "aria-label": "Stages of each step" },
    node("thead", {}, head),
    node("tbody", {}, ...rows.map((row, index) =>
      node("tr", {}, node("th", { scope: "row" }, row.stage), ...cells[index]))));
  const title = node("h4", { "aria-live": "polite" }, "Choose a cell to see its tensors.");
  const panel = node("div", {});
  const scroll = node("div", { class: "scroll" }, table);
  place.append(scroll, title, panel);

  const places = new Map();
  cells.forEach((line, row) => line.forEach((cell, column) => places.set(cell, [row, column])));
  let [stop, chosen] = [cells[0][0], undefined];
  stop.setAttribute("tabindex", "0");

  function moveStop(cell) {
    stop.setAttribute("tabindex", "-1");
    stop = cell;
    stop.setAttribute("tabindex", "0");
  }
  function choose(cell) {
    const [index, column] = places.get(cell);
    const row = rows[index];
    chosen?.removeAttribute("aria-selected");
    chosen = cell;
    chosen.setAttribute("aria-selected", "true");
    moveStop(cell);
    title.textContent = describe(strip, row, column);
    panel.textContent = "";
    const found = row.tables[column];
    if (found !== undefined) {
      panel.append(tensorTable(found));
      const others = found.compared - found.tensors.length;
      if (others > 0) panel.append(node("p", { class: "note" }, others + " more compared, all equal."));
    } else if (row.levels[column] !== ".") {
      panel.append(node("p", { class: "note" }, "This page keeps the tables of the worst cells only; report.json has all."));
    }
  }

  const over = (event) => {
    const at = places.get(event.target);
    if (at === undefined) tip.hidden = true;
    else showTip(event.target, describe(strip, rows[at[0]], at[1]));
  };
  table.addEventListener("mouseover", over);
  table.addEventListener("focusin", over);
  table.addEventListener("mouseleave", () => { tip.hidden = true; });
  table.addEventListener("focusout", () => { tip.hidden = true; });
  const cellOf = (target) => (places.has(target) ? target : undefined);
  table.addEventListener("click", (event) => {
    const cell = cellOf(event.target);
    if (cell !== undefined) choose(cell);
  });
  table.addEventListener("keydown", (event) => {
    const cell = cellOf(event.target);
    if (cell === undefined) return;
    const [row, column] = places.get(cell);
    const last = steps.length - 1;
    const moves = {
      ArrowLeft: [row, column - 1], ArrowRight: [row, column + 1], ArrowUp: [row - 1, column], ArrowDown: [row + 1, column],
      Home: [row, 0], End: [row, last],
    };
    if (event.key === "Enter" || event.key === " ") choose(cell);
    else if (event.key === "Escape") { tip.hidden = true; return; }
    else if (!Object.hasOwn(moves, event.key)) return;
    else {
      const [toRow, toColumn] = moves[event.key];
      const next = cells[toRow]?.[toColumn];
      if (next !== undefined) {
        moveStop(next);
        next.focus();
      }
    }
    event.preventDefault();
  });

  for (let column = 0; column < steps.length && chosen === undefined; column++) {
    const row = rows.findIndex((row) => differs(row, column));
    if (row < 0) continue;
    choose(cells[row][column]);
    scroll.scrollLeft = chosen.offsetLeft - scroll.clientWidth / 2;
  }
}

const all = [...document.querySelectorAll(".case")];
for (const details of all) {
  details.addEventListener("toggle", () => { if (details.open) draw(details); });
  if (details.open) draw(details);
}

function reveal(hash) {
  const details = all.find(({ id }) => "#" + id === hash);
  if (details === undefined) return;
  details.open = true;
  draw(details);
  details.scrollIntoView();
}
document.addEventListener("click", (event) => {
  const link = event.target.closest("a");
  if (link !== null) reveal(link.getAttribute("href"));
});
addEventListener("hashchange", () => reveal(location.hash));
reveal(location.hash);
addEventListener("scroll", () => { if (!tip.hidden) showTip(tipped, tip.textContent); }, { passive: true, capture: true });

addEventListener("beforeprint", () => {
  for (const details of all) {
    if (details.matches(".equal")) continue;
    details.open = true;
    draw(details);
  }
});
})();
`;
