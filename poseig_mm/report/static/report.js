"use strict";

// Sort a table by a column: numbers by value, text by language; empty cells stay last.
function key(cell) {
  if (cell.dataset.sort !== undefined) return Number(cell.dataset.sort);
  const text = cell.textContent.trim();
  return text === "" || text === "–" ? null : text;
}

function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), undefined, { numeric: true });
}

function sortBy(table, column, header) {
  const descending = header.getAttribute("aria-sort") === "ascending";
  for (const th of table.tHead.rows[0].cells) th.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", descending ? "descending" : "ascending");
  const rows = [...table.tBodies[0].rows].map((row) => [key(row.cells[column]), row]);
  rows.sort(([a], [b]) => {
    if (a === null || b === null) return (a === null) - (b === null);
    return descending ? compare(b, a) : compare(a, b);
  });
  table.tBodies[0].append(...rows.map(([, row]) => row));
}

function makeSortable(table) {
  if (table.tBodies[0].rows.length < 2 || table.classList.contains("facts")) return;
  [...table.tHead.rows[0].cells].forEach((header, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = header.textContent;
    button.title = "Sort by this column";
    button.addEventListener("click", () => sortBy(table, column, header));
    header.replaceChildren(button);
  });
}

// Above a long table: show the rows that hold every word.
const FILTER_FROM = 20; // rows

function makeFilter(figure) {
  const rows = [...(figure.querySelector("table:not(.facts)")?.tBodies[0].rows ?? [])];
  if (rows.length <= FILTER_FROM) return;
  const input = document.createElement("input");
  input.type = "search";
  input.placeholder = "Filter rows";
  input.setAttribute("aria-label", `Filter rows: ${figure.querySelector(".scroll").getAttribute("aria-label")}`);
  const count = document.createElement("span");
  count.setAttribute("role", "status");
  const texts = rows.map((row) => row.textContent.toLowerCase());
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    rows.forEach((row, i) => { row.hidden = !words.every((word) => texts[i].includes(word)); });
    count.textContent = words.length ? `${rows.filter((row) => !row.hidden).length} of ${rows.length} rows` : "";
  });
  const box = document.createElement("p");
  box.className = "filter";
  box.append(input, count);
  figure.querySelector(".scroll").before(box);
}

// Copy a table as tab-separated text, which spreadsheets paste as cells.
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}

function addCopyButton(figure) {
  const links = figure.querySelector(".links");
  if (!links) return;
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    const rows = [...figure.querySelector("table").rows];
    await copy(rows.map((row) => [...row.cells].map((cell) => cell.textContent.trim()).join("\t")).join("\n"));
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
  links.append(button);
}

// Enlarge a picture; arrow keys go to the next one.
function makeViewer() {
  const viewer = document.getElementById("viewer");
  let pictures = [];
  let current = 0;
  function show(i) {
    current = (i + pictures.length) % pictures.length;
    const image = pictures[current].querySelector("img");
    viewer.querySelector("img").src = pictures[current].href;
    viewer.querySelector("img").alt = image.alt;
    viewer.querySelector("p").textContent = image.alt;
    if (!viewer.open) viewer.showModal();
  }
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-view]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    pictures = [...document.querySelectorAll("a[data-view]")];
    show(pictures.indexOf(link));
  });
  viewer.addEventListener("keydown", (event) => {
    if (event.key === "ArrowRight") show(current + 1);
    if (event.key === "ArrowLeft") show(current - 1);
  });
  viewer.addEventListener("click", (event) => { if (event.target === viewer) viewer.close(); });
}

// Mark the section that is being read in the navigation; at the page's end, where short sections cannot reach the top,
// the one that was asked for, else the last.
function followScroll() {
  const links = [...document.querySelectorAll("nav a")];
  const sections = links.map((link) => document.getElementById(link.getAttribute("href").slice(1)));
  let waiting = false;
  function mark() {
    waiting = false;
    const height = window.innerHeight;
    let current = Math.max(0, sections.findLastIndex((section) => section.getBoundingClientRect().top < 0.25 * height));
    if (window.scrollY + height >= document.documentElement.scrollHeight - 2) {
      const asked = sections.findIndex((section) => `#${section.id}` === window.location.hash);
      const seen = asked >= 0 && sections[asked].getBoundingClientRect().top >= 0;
      current = seen ? asked : sections.length - 1;
    }
    links.forEach((link, i) => {
      if (i === current) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    });
  }
  function later() {
    if (!waiting) window.requestAnimationFrame(mark);
    waiting = true;
  }
  for (const kind of ["scroll", "resize", "hashchange", "load"]) window.addEventListener(kind, later, { passive: true });
  mark();
}

// What is folded opens where a link or the address leads into it, and on paper.
function openFolded() {
  function open() {
    const target = window.location.hash && document.getElementById(decodeURIComponent(window.location.hash.slice(1)));
    for (let at = target; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
    if (target) target.scrollIntoView();
  }
  window.addEventListener("hashchange", open);
  if (window.location.hash) open();
  let opened = [];
  window.addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    for (const details of opened) details.open = true;
  });
  window.addEventListener("afterprint", () => { for (const details of opened) details.open = false; });
}

document.querySelectorAll("table").forEach(makeSortable);
document.querySelectorAll("figure.table").forEach(makeFilter);
document.querySelectorAll("figure.table").forEach(addCopyButton);
makeViewer();
openFolded();
followScroll();
