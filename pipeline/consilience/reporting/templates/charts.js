// Draws the charts in the page's own text colour, which no single grey could replace: one cannot have
// enough contrast on a light and on a dark page. Draws anew when the page turns dark or is printed.
const specs = new Map();
const inPrint = matchMedia("print");
const inDark = matchMedia("(prefers-color-scheme: dark)");
const PRINT_WIDTH = 690; // CSS pixels: A4 without its margins

function colourOf(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

// The text of matrices stands on coloured cells, where plotly would choose its colour by the cell's
// as if every page were white.
function coloured(spec, ink, soft) {
  const data = spec.data.map((trace) =>
    trace.texttemplate ? {...trace, textfont: {...trace.textfont, color: ink}} : trace);
  return {data, layout: {...spec.layout, font: {...spec.layout.font, color: soft}}};
}

function draw(box, isPrinted) {
  const soft = isPrinted ? colourOf("--print-soft") : colourOf("--soft");
  const ink = isPrinted ? colourOf("--print-ink") : colourOf("--ink");
  const {data, layout} = coloured(specs.get(box), ink, soft);
  // Rounded down: half a pixel beyond the box would make the page wider.
  if (isPrinted) layout.width = Math.min(Math.floor(box.getBoundingClientRect().width), PRINT_WIDTH);
  const settings = {displayModeBar: false, responsive: !isPrinted};
  return Plotly.react(box, data, layout, settings);
}

for (const box of document.querySelectorAll(".chart:not(.drawing)")) {
  specs.set(box, JSON.parse(box.firstElementChild.textContent));
  box.replaceChildren();
  draw(box, inPrint.matches);
}

function drawAll() {
  for (const box of specs.keys()) draw(box, inPrint.matches);
}
inDark.addEventListener("change", drawAll);
inPrint.addEventListener("change", drawAll);

// A file of a figure is for a white page, whatever the reader's screen.
async function svgOf(box) {
  if (!specs.has(box)) {
    const page = box.querySelector("svg"), drawing = page.cloneNode(true);
    const file = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const {width, height} = page.getBoundingClientRect(), {paddingLeft, paddingRight} = getComputedStyle(page);
    const [left, right] = [paddingLeft, paddingRight].map(parseFloat);
    // A file has no padding: what is beside the plot has a place of its own.
    const sizes = {x: left, width: width - left - right, height};
    for (const [name, value] of Object.entries(sizes)) drawing.setAttribute(name, value);
    drawing.style = "overflow: visible";
    for (const [name, value] of Object.entries({width, height})) file.setAttribute(name, value);
    file.style.color = colourOf("--print-ink");
    file.style.fontFamily = getComputedStyle(page).fontFamily;
    file.append(drawing);
    return "data:image/svg+xml," + encodeURIComponent(new XMLSerializer().serializeToString(file));
  }
  const spec = {...specs.get(box)};
  if (box.layout && box.layout.updatemenus) spec.data = box.data; // as chosen in the list
  const {data, layout} = coloured(spec, colourOf("--print-ink"), colourOf("--print-soft"));
  const size = {width: Math.max(box.clientWidth, 480), height: box.clientHeight};
  const shown = {...layout, paper_bgcolor: "#fff", updatemenus: []};
  return Plotly.toImage({data, layout: shown}, {format: "svg", ...size});
}

for (const button of document.querySelectorAll("button[data-svg]")) {
  button.addEventListener("click", async () => {
    const link = document.createElement("a");
    link.href = await svgOf(document.getElementById(button.dataset.svg));
    link.download = button.dataset.file;
    link.click();
  });
}
