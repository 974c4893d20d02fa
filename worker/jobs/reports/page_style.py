"""The style of the report's page: light, dark and on paper."""

STYLE = """
:root{color-scheme:light dark;
--page:#f5f6f8;--card:#fff;--ink:#171b26;--soft:#5c6475;--line:#e3e6ec;
--grid:#eceef2;--accent:#3157d5;--talk:#3157d5;--hold:#e08a1e;--rest:#c9cfdb;--good:#1f9d70;
--dot:#fff;--band:#b9c7f5}
@media (prefers-color-scheme:dark){:root{--page:#0f1219;--card:#181c26;--ink:#eef0f5;--soft:#9aa3b5;
--line:#2a3040;--grid:#232836;--accent:#7c9cff;--talk:#6a8dff;--hold:#f0a445;--rest:#454d60;
--good:#35c492;--dot:#181c26;--band:#34457f}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);
font:15px/1.5 ui-sans-serif,system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,
sans-serif;
font-variant-numeric:tabular-nums}
main{max-width:1160px;margin:0 auto;padding:40px 24px 56px}
header{margin-bottom:28px}
h1{font-size:30px;line-height:1.2;letter-spacing:-.02em;margin:0 0 6px;overflow-wrap:anywhere}
h2{font-size:15px;font-weight:650;margin:0}
p{margin:0}
.period{font-size:17px;color:var(--soft)}
.chips{display:flex;flex-wrap:wrap;gap:8px;margin:14px 0 0;padding:0;list-style:none}
.chips li{background:var(--card);border:1px solid var(--line);border-radius:99px;padding:2px 12px;
font-size:13px;color:var(--soft);overflow-wrap:anywhere}
.chips b{color:var(--ink);font-weight:600}
.cards{display:grid;grid-template-columns:repeat(6,1fr);gap:14px;margin-bottom:14px}
.card,.panel{background:var(--card);border:1px solid var(--line);border-radius:14px}
.card{padding:16px 18px}
.card dt{font-size:13px;color:var(--soft)}
.card dd{margin:2px 0 0;font-size:26px;font-weight:650;letter-spacing:-.02em;line-height:1.25}
.card .note{margin:0;font-size:12.5px;font-weight:400;letter-spacing:0;color:var(--soft)}
.panel{padding:20px 22px;margin-bottom:14px;min-width:0}
.panel>.note{font-size:13px;color:var(--soft);margin-bottom:14px}
.pair{display:grid;grid-template-columns:1fr 1fr;gap:14px}
svg{display:block;width:100%;height:auto;overflow:visible}
svg text{fill:var(--soft);font-size:12px}
svg .name{fill:var(--ink);font-size:12.5px}
svg .value{fill:var(--ink);font-weight:600}
svg .inside{fill:#fff;font-weight:600}
.grid{stroke:var(--grid);stroke-width:1}
.axis{stroke:var(--line);stroke-width:1}
.bar{fill:var(--accent)}
.bar:hover,.mark:hover{opacity:.75}
.talk{fill:var(--talk)}.hold{fill:var(--hold)}.rest{fill:var(--rest)}.good{fill:var(--good)}
.track{fill:var(--grid)}
.band{stroke:var(--band);stroke-width:8;stroke-linecap:round}
.p50{fill:var(--accent)}.p90{fill:var(--hold)}.p99{fill:var(--dot);stroke:var(--soft);stroke-width:2}
.legend{display:flex;flex-wrap:wrap;gap:4px 16px;margin:4px 0 14px;padding:0;list-style:none;
font-size:13px;color:var(--soft)}
.legend svg{display:inline-block;width:10px;height:10px;margin-right:6px}
.scroll{overflow-x:auto;margin:14px -22px -20px;border-radius:0 0 14px 14px}
table{border-collapse:collapse;width:100%;font-size:14px}
th,td{padding:9px 10px;text-align:right;white-space:nowrap;border-top:1px solid var(--line)}
th:first-child,td:first-child{padding-left:22px}
th:last-child,td:last-child{padding-right:22px}
th{font-weight:500;color:var(--soft);padding-top:0;padding-bottom:0;vertical-align:bottom}
.text{text-align:left}
tbody tr:hover{background:var(--page)}
tfoot td{font-weight:650;border-top:2px solid var(--line)}
th button{all:unset;cursor:pointer;text-decoration:underline dotted var(--soft);
text-underline-offset:3px;padding:9px 0;white-space:normal}
th button:focus-visible{outline:2px solid var(--accent);border-radius:4px}
th[aria-sort=ascending] button::after{content:" \\2191"}
th[aria-sort=descending] button::after{content:" \\2193"}
th[aria-sort=ascending],th[aria-sort=descending]{color:var(--ink)}
.codes{white-space:normal;min-width:110px;max-width:300px;overflow-wrap:anywhere}
.codes summary{cursor:pointer;color:var(--accent)}
footer{margin-top:26px;font-size:13px;color:var(--soft)}
footer p+p{margin-top:4px}
.warn{color:var(--hold);font-weight:600}
.empty{padding:40px 0;text-align:center;color:var(--soft)}
@media (max-width:980px){.cards{grid-template-columns:repeat(3,1fr)}
.pair{grid-template-columns:1fr}}
@media (max-width:560px){main{padding:24px 14px}.cards{grid-template-columns:repeat(2,1fr)}
.panel{overflow-x:auto}.panel>svg{min-width:600px}}
@media print{:root{--page:#fff;--card:#fff;--ink:#000;--soft:#444;--line:#ccc;--grid:#e5e5e5;
--accent:#3157d5;--talk:#3157d5;--hold:#e08a1e;--rest:#c9cfdb;--good:#1f9d70;--dot:#fff;--band:#b9c7f5}
body{font-size:11px}main{max-width:none;padding:0}.card,.panel{break-inside:avoid}
.scroll{overflow:visible}th button::after{content:""}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}
th,td{padding:5px 7px}.card dd{font-size:19px}}
"""

SCRIPT = """
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
"""
