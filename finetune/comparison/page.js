"use strict";

// A missing value stands last, whichever way a column is sorted.
function compare(first, second, sign) {
  if (first === "" || second === "") return (first === "") - (second === "");
  const difference = Number(first) - Number(second);
  return sign * (Number.isNaN(difference) ? first.localeCompare(second) : difference);
}

for (const button of document.querySelectorAll("thead button")) {
  button.addEventListener("click", () => {
    const header = button.parentElement;
    const ascending = header.getAttribute("aria-sort") !== "ascending";
    for (const other of header.parentElement.children) other.setAttribute("aria-sort", "none");
    header.setAttribute("aria-sort", ascending ? "ascending" : "descending");
    const body = header.closest("table").tBodies[0];
    const value = (row) => row.children[header.cellIndex].dataset.value;
    const rows = [...body.rows].sort((a, b) => compare(value(a), value(b), ascending ? 1 : -1));
    body.append(...rows);
  });
}

// What is pointed at stands out in every table and every plot.
function choose(name) {
  document.body.classList.toggle("choosing", name !== null);
  for (const element of document.querySelectorAll("[data-method]")) {
    element.classList.toggle("chosen", element.dataset.method === name);
  }
}

for (const element of document.querySelectorAll("[data-method]")) {
  element.addEventListener("mouseenter", () => choose(element.dataset.method));
  element.addEventListener("mouseleave", () => choose(null));
}
