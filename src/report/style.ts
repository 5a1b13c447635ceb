/** The look of the report: one column, light and dark, printable. */
export const style = `
:root {
  color-scheme: light dark;
  --ink: #1d2733;
  --paper: #fff;
  --card: #f5f7f9;
  --line: #d7dee6;
  --quiet: #566575;
  --good: #2f6fb3;
  --bad: #c8502d;
  --found: #1f7a4d;
  --care: #9a6700;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e4eaf0;
    --paper: #14191f;
    --card: #1c232b;
    --line: #33404d;
    --quiet: #9dabba;
    --good: #6ca6e0;
    --bad: #f08a66;
    --found: #6fcf9a;
    --care: #d9a93f;
  }
}
:root.printing {
  color-scheme: light;
  --ink: #000;
  --paper: #fff;
  --card: #fff;
  --line: #bbb;
  --quiet: #444;
  --good: #2f6fb3;
  --bad: #b3391f;
  --found: #1f7a4d;
  --care: #7a5200;
}
* {
  box-sizing: border-box;
}
body {
  font:
    15px / 1.5 system-ui,
    sans-serif;
  color: var(--ink);
  background: var(--paper);
  margin: 0 auto;
  max-width: 1080px;
  padding: 24px 16px 64px;
}
h1 {
  font-size: 24px;
  margin: 0;
}
h2 {
  font-size: 18px;
  margin: 36px 0 10px;
  padding-top: 12px;
  border-top: 1px solid var(--line);
}
h3 {
  font-size: 15px;
  margin: 18px 0 6px;
}
p {
  margin: 4px 0 8px;
  max-width: 85ch;
}
.quiet {
  color: var(--quiet);
}
.warning {
  border-left: 4px solid var(--bad);
  padding: 6px 12px;
  background: var(--card);
}
.figures {
  display: grid;
  grid-template-columns: repeat(auto-fit, minmax(140px, 1fr));
  gap: 10px;
  margin: 16px 0;
}
.figure {
  background: var(--card);
  border-radius: 8px;
  padding: 10px 14px;
}
.figure b {
  display: block;
  font-size: 24px;
  font-variant-numeric: tabular-nums;
}
.figure span {
  color: var(--quiet);
  font-size: 13px;
}
.result {
  border: 1px solid var(--line);
  border-left: 6px solid var(--quiet);
  border-radius: 8px;
  padding: 4px 16px 8px;
  margin: 14px 0;
}
.result.good {
  border-left-color: var(--found);
}
.result.fair {
  border-left-color: var(--care);
}
.result.bad {
  border-left-color: var(--bad);
}
.headline {
  font-size: 19px;
  font-weight: 600;
  line-height: 1.35;
  margin: 8px 0;
}
.result .figure span {
  color: var(--ink);
  display: block;
}
.result .figure small {
  color: var(--quiet);
}
.result ul {
  margin: 8px 0;
  padding-left: 20px;
  max-width: 85ch;
}
.result li {
  margin: 4px 0;
}
.charts {
  display: grid;
  grid-template-columns: repeat(auto-fit, minmax(300px, 1fr));
  gap: 20px;
}
.charts > div {
  min-width: 0;
}
.chart {
  position: relative;
  height: 260px;
}
.scroll {
  overflow-x: auto;
}
table {
  border-collapse: collapse;
  font-size: 14px;
  font-variant-numeric: tabular-nums;
}
th,
td {
  padding: 4px 12px 4px 0;
  border-bottom: 1px solid var(--line);
  text-align: right;
  vertical-align: top;
}
th:first-child,
td.text,
th.text {
  text-align: left;
  font-weight: 400;
}
thead th {
  color: var(--quiet);
  font-weight: 600;
}
td.text {
  overflow-wrap: anywhere;
}
dl {
  display: grid;
  grid-template-columns: max-content 1fr;
  gap: 2px 16px;
  font-size: 14px;
  margin: 0;
}
dt {
  color: var(--quiet);
}
dd {
  margin: 0;
  overflow-wrap: anywhere;
}
.gallery {
  display: grid;
  gap: 12px;
}
.gallery figure {
  margin: 0;
}
.gallery img,
.levels img {
  max-width: 100%;
  height: auto;
  border-radius: 4px;
  display: block;
}
figcaption {
  font-size: 13px;
  color: var(--quiet);
  overflow-wrap: anywhere;
}
.levels {
  display: grid;
  grid-template-columns: repeat(3, minmax(0, 200px));
  gap: 10px;
  margin-bottom: 16px;
}
.levels figure {
  margin: 0;
}
.levels img {
  width: 100%;
}
.levels figure:first-child {
  grid-column: 1 / -1;
  max-width: 200px;
}
details {
  margin: 8px 0;
}
summary {
  cursor: pointer;
}
@media print {
  @page {
    margin: 14mm;
  }
  body {
    max-width: none;
    padding: 0;
    font-size: 12px;
  }
  h1 {
    font-size: 20px;
  }
  h2,
  h3,
  summary {
    break-after: avoid;
  }
  figure,
  .figure,
  .result,
  .charts > div,
  tr {
    break-inside: avoid;
  }
  .figure {
    border: 1px solid var(--line);
  }
  .scroll {
    overflow: visible;
  }
  .charts {
    grid-template-columns: 1fr 1fr;
  }
  .chart {
    height: 200px;
  }
  canvas {
    max-width: 100%;
  }
  a {
    color: inherit;
  }
}
@media (max-width: 520px) {
  dl {
    grid-template-columns: minmax(0, 2fr) minmax(0, 3fr);
  }
  .figure b {
    font-size: 20px;
  }
  .result .figures {
    grid-template-columns: 1fr;
  }
}
`;
