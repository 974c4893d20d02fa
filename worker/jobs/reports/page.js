for (const table of document.querySelectorAll("table")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.firstElementChild.addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") !== "descending";
    const body = table.tBodies[0];
    const value = (row) => row.cells[column].dataset.value;
    const isNumber = !head.classList.contains("text");
    const compare = (a, b) => isNumber ? value(a) - value(b) : value(a).localeCompare(value(b));
    const rows = [...body.rows].sort((a, b) => down ? compare(b, a) : compare(a, b));
    for (const other of heads) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    body.append(...rows);
  }));
}
