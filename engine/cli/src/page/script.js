"use strict";
// A click on a head sorts by its column; the page works without.
for (const table of document.querySelectorAll("table")) {
  const heads = Array.from(table.tHead.rows[0].cells);
  const body = table.tBodies[0];
  heads.forEach((head, column) => {
    const first = body.rows[0] && body.rows[0].cells[column];
    if (first && (first.classList.contains("number") || first.classList.contains("empty"))) {
      head.classList.add("number");
    }
    head.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = (row) => {
        const cell = row.cells[column];
        if (cell.classList.contains("empty")) return null;
        return cell.dataset.value === undefined ? cell.textContent : Number(cell.dataset.value);
      };
      const compare = (a, b) => {
        const [x, y] = [key(a), key(b)];
        // What has no value stays last, whichever way the rest is sorted.
        if (x === null || y === null) return (x === null) - (y === null);
        const order = typeof x === "number" && typeof y === "number"
          ? x - y : String(x).localeCompare(String(y));
        return down ? -order : order;
      };
      Array.from(body.rows).sort(compare).forEach((row) => body.append(row));
    });
  });
}
document.body.dataset.ready = "true";
