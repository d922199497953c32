// One grey cannot have enough contrast on a light and on a dark page: take the page's own.
const ink = getComputedStyle(document.documentElement).getPropertyValue("--soft").trim();
for (const box of document.querySelectorAll(".chart")) {
  const chart = JSON.parse(box.firstElementChild.textContent);
  chart.layout.font.color = ink;
  Plotly.newPlot(box, chart.data, chart.layout, {displayModeBar: false, responsive: true});
}
