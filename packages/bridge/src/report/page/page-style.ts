/**
 * The page's style. Blue is equal and orange is different, which people with any colour vision tell apart; signs and
 * outlines say the same without colour.
 */
export const pageStyle = `
:root {
  color-scheme: light dark;
  --page: #fff; --raised: #f5f6f8; --text: #16191d; --quiet: #59616b; --rule: #d6dade; --link: #0b57a4;
  --equal: #0b61a4; --different: #b03a00; --missing: #6b4a9c;
  --level-0: #e9edf1; --level-1: #cfe2f3; --level-2: #a6c9e8; --level-3: #74abd8; --level-4: #4a90c8;
  --level-5: #fdbf74; --level-6: #f4923a; --level-7: #c74e06; --level-8: #8a2c04;
  --on-strong: #fff; --on-pale: #10151a;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14171b; --raised: #1d2126; --text: #e6e9ed; --quiet: #a0a9b3; --rule: #363d45; --link: #86bdf0;
    --equal: #74b4ea; --different: #ffa35c; --missing: #c3a6f0;
    --level-0: #242a31; --level-1: #21394f; --level-2: #27527a; --level-3: #316c9f; --level-4: #4b93cd;
    --level-5: #7d450b; --level-6: #b8640f; --level-7: #f0913a; --level-8: #ffbf85;
  }
}
* { box-sizing: border-box; }
html { scroll-padding-top: 1rem; }
body { margin: 0 auto; padding: 0 1.25rem 4rem; max-width: 90rem; background: var(--page); color: var(--text);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif; overflow-wrap: anywhere;
  font-variant-numeric: tabular-nums; }
a { color: var(--link); }
code, pre, .message { font-family: ui-monospace, "SF Mono", Consolas, "Liberation Mono", monospace; font-size: .88em; }
h1 { font-size: 1.55rem; line-height: 1.25; margin: .1rem 0 .6rem; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .4rem; }
h3 { font-size: 1rem; margin: 0; display: inline; }
h4 { font-size: .92rem; margin: 1.1rem 0 .3rem; }
p { margin: .35rem 0; }
.note, .key { color: var(--quiet); font-size: .87rem; }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }

header { margin: 0 -1.25rem; padding: 1.1rem 1.25rem 1rem; border-top: 6px solid var(--equal); background: var(--raised); }
header.different { border-color: var(--different); }
header.could-not-compare { border-color: var(--missing); }
header .name { color: var(--quiet); font-size: .85rem; margin: 0; }
dl { display: flex; flex-wrap: wrap; gap: .4rem 2rem; margin: .9rem 0 0; }
dt { color: var(--quiet); font-size: .8rem; }
dd { margin: 0; }
.mark { font-weight: 700; }
.mark.equal { color: var(--equal); } .mark.different { color: var(--different); } .mark.could-not-compare { color: var(--missing); }

.scroll { overflow-x: auto; max-width: 100%; }
table { border-collapse: collapse; font-size: .85rem; }
th, td { padding: .25rem .6rem; text-align: left; vertical-align: top; border-bottom: 1px solid var(--rule); }
thead th { color: var(--quiet); font-weight: 600; vertical-align: bottom; }
caption { text-align: left; color: var(--quiet); padding: .3rem 0; }

.heat { background: var(--level-0); color: var(--on-pale); }
.level-1 { background: var(--level-1); } .level-2 { background: var(--level-2); } .level-3 { background: var(--level-3); }
.level-4 { background: var(--level-4); } .level-5 { background: var(--level-5); } .level-6 { background: var(--level-6); }
.level-7 { background: var(--level-7); color: var(--on-strong); } .level-8 { background: var(--level-8); color: var(--on-strong); }
.level-5, .level-6, .level-7, .level-8 { outline: 2px solid var(--text); outline-offset: -2px; font-weight: 700; }
@media (prefers-color-scheme: dark) {
  .level-0, .level-1, .level-2, .level-3, .level-5 { color: #fff; }
  .level-6 { color: var(--on-pale); }
  .level-7, .level-8 { color: var(--on-pale); }
}

.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.6rem; font-size: .82rem; color: var(--quiet); margin: .4rem 0; }
.legend ul { display: flex; flex-wrap: wrap; gap: .2rem .8rem; list-style: none; margin: 0; padding: 0; }
.legend .heat { display: inline-block; width: 1.25em; height: 1.25em; line-height: 1.25em; text-align: center;
  vertical-align: middle; font-size: .8rem; }

.overview td { text-align: center; vertical-align: middle; min-width: 3.4rem; white-space: nowrap; border: 2px solid var(--page); padding: .2rem .4rem; }
.overview thead th { padding: .2rem .2rem .4rem; border: 0; text-align: center; }
.overview thead span { display: inline-block; font-weight: 400; writing-mode: vertical-rl; transform: rotate(180deg); white-space: nowrap; }
.overview thead th:first-child { text-align: left; padding-left: 0; }
.overview tbody th { font-weight: 400; min-width: 9rem; border: 0; padding-left: 0; position: sticky; left: 0; background: var(--page); }

.filter { display: inline-flex; gap: .4rem; align-items: center; margin-bottom: .5rem; }
body:has(#only-failing:checked) :is(.case, .overview tr).equal { display: none; }
.case { border: 1px solid var(--rule); border-left: 5px solid var(--equal); border-radius: 6px; margin: .5rem 0; }
.case.different { border-left-color: var(--different); }
.case.could-not-compare { border-left-color: var(--missing); }
summary { cursor: pointer; }
.case > summary { padding: .5rem .8rem; }
.content { padding: 0 .9rem .8rem; }
.alarm { background: var(--raised); border-radius: 6px; padding: .5rem .8rem; margin: .3rem 0 .8rem; }
.message { white-space: pre-wrap; }
.walk { list-style-position: outside; padding-left: 2.2rem; margin: .4rem 0; }
.walk li { position: relative; padding: .1rem 0 .1rem .5rem; border-left: 3px solid var(--equal); }
.walk li.different { border-left: 5px double var(--different); }
pre { background: var(--raised); padding: .6rem .8rem; border-radius: 6px; overflow-x: auto; margin: .4rem 0; white-space: pre-wrap; }

.grid { border-collapse: separate; border-spacing: 1px; table-layout: fixed; width: max-content; --cell: 26px; }
.grid.middle { --cell: 15px; } .grid.narrow { --cell: 10px; }
@media (pointer: coarse) { .grid { --cell: 30px; } .grid.middle, .grid.narrow { --cell: 22px; } }
.grid th, .grid td { border: 0; padding: 0; }
.grid th:first-child { width: 10.5rem; padding-right: .6rem; font-weight: 400; white-space: nowrap; position: sticky; left: 0;
  background: var(--page); z-index: 1; }
.grid thead th { width: var(--cell); font-size: .68rem; font-weight: 400; white-space: nowrap; overflow: visible; }
.grid thead th:first-child { font-size: .8rem; }
.grid thead span { display: block; width: 0; }
.grid td { width: var(--cell); height: 20px; line-height: 20px; text-align: center; font-size: .72rem; cursor: pointer; overflow: hidden; }
.grid.narrow td.heat { font-size: .56rem; }
.grid.narrow .heat:not(:focus-visible, [aria-selected]) { outline-width: 1px; outline-offset: -1px; }
.grid td.none { cursor: default; }
.grid td:is(:focus-visible, [aria-selected="true"]) { outline: 3px solid var(--link); outline-offset: 0; position: relative; }
.tip { position: fixed; z-index: 9; max-width: min(26rem, 90vw); pointer-events: none; background: var(--text); color: var(--page);
  padding: .25rem .55rem; border-radius: 4px; font-size: .82rem; }
.tip[hidden] { display: none; }
.tensors { margin-top: .2rem; }
h4[aria-live]::first-letter { text-transform: uppercase; }
.tensors th, .tensors td { white-space: nowrap; }
.tensors td:nth-child(3) { white-space: normal; min-width: 10rem; max-width: 26rem; }
.tensors tbody th { position: sticky; left: 0; background: var(--page); font-weight: 600; }
.tensors tr.different td:nth-child(3) { color: var(--different); font-weight: 600; }

.environment tr.differs { background: var(--raised); }
.environment tr.differs td { font-weight: 600; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); gap: .6rem 1rem; }
.chart { margin: 0; min-width: 0; }
.chart figcaption { font-size: .82rem; }
.chart p { color: var(--quiet); font-size: .82rem; }
.chart svg { display: block; width: 100%; max-width: 24rem; height: auto; }
.chart text { font-size: 9.5px; fill: var(--quiet); }
.chart .tick { stroke: var(--rule); }
.chart .limit { stroke: var(--different); stroke-dasharray: 5 3; }
.chart path { fill: none; stroke-width: 1.8; stroke-linecap: round; stroke-linejoin: round; }
.chart .ours { stroke: var(--equal); }
.chart .reference { stroke: var(--different); stroke-width: 4; opacity: .55; }
.key .line { display: inline-block; width: 1.6em; vertical-align: .3em; border-top: 2px solid var(--equal); }
.key .line.reference { border-top: 4px solid var(--different); opacity: .55; margin-left: 1em; }

@media (max-width: 40rem) {
  .tensors tbody th { white-space: normal; min-width: 8rem; max-width: 40vw; }
  body { padding: 0 .8rem 3rem; font-size: 14px; }
  header { margin: 0 -.8rem; padding: .9rem .8rem; }
  .content { padding: 0 .6rem .6rem; }
  h1 { font-size: 1.3rem; }
  .grid th:first-child { width: 8.6rem; font-size: .74rem; }
  .overview tbody th { min-width: 7.5rem; max-width: 9rem; }
}
@media print {
  body { max-width: none; font-size: 10pt; }
  .filter, .tip { display: none; }
  .scroll { overflow: visible; }
  .grid.narrow { --cell: 2.5px; border-spacing: .5px; } .grid.middle { --cell: 7px; }
  .grid.narrow td.heat { font-size: 0; outline: 0; }
  .charts { grid-template-columns: repeat(4, 1fr); }
  .grid th:first-child, .tensors tbody th, .overview tbody th { position: static; }
  .overview { font-size: 7.5pt; } .overview td { min-width: 0; } .overview tbody th { min-width: 10rem; }
  .heat { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  .chart, .alarm, .overview tr { break-inside: avoid; } h2, h3, h4 { break-after: avoid; }
  .tensors :is(th, td) { white-space: normal; font-size: 6.5pt; padding: 1pt 2pt; min-width: 0 !important; }
}
`;
