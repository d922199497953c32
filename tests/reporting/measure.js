// Returns the faults of a page's layout, as a list of lines: what is cut, overlaps, is too small or
// lacks contrast.
(() => {
  const SMALLEST = matchMedia("print").matches ? 7 : 9.5; // of a text, px
  const faults = [];
  const width = document.documentElement.clientWidth;
  const note = (what, text, rest = "") => faults.push(`${what}: "${text.trim().slice(0, 60)}" ${rest}`);

  function numbers(colour) {
    const parts = colour.match(/[\d.]+/g);
    return parts ? parts.map(Number) : [0, 0, 0, 0];
  }
  function over(front, back) {
    const alpha = front.length > 3 ? front[3] : 1;
    return [0, 1, 2].map((i) => alpha * front[i] + (1 - alpha) * back[i]);
  }
  function luminance(rgb) {
    const [r, g, b] = rgb.map((value) => value / 255)
      .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  }
  function contrast(one, other) {
    const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (light + 0.05) / (dark + 0.05);
  }
  function backgroundOf(element) {
    const layers = [];
    for (let node = element; node; node = node.parentElement) layers.push(node);
    let colour = [255, 255, 255];
    for (const node of layers.reverse()) colour = over(numbers(getComputedStyle(node).backgroundColor), colour);
    return colour;
  }
  function check(element, text, fill) {
    const ratio = contrast(over(numbers(fill), backgroundOf(element)), backgroundOf(element));
    if (ratio < 4.5) note("contrast", text, ratio.toFixed(2));
  }

  function checkSize(element, text, scale = 1) {
    const size = scale * parseFloat(getComputedStyle(element).fontSize);
    if (size < SMALLEST) note("small", text, `${size.toFixed(1)} px`);
  }

  if (document.documentElement.scrollWidth > width)
    faults.push(`the page is ${document.documentElement.scrollWidth} px wide of ${width}`);

  // Every line of text of the page, with its rectangle.
  const lines = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode, parent = node.parentElement;
    if (!node.data.trim() || parent.closest("script, style, noscript, svg")) continue;
    const folded = parent.closest("details:not([open])");
    if (folded && !parent.closest("summary")) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const rects = [...range.getClientRects()].filter((rect) => rect.width > 1 && rect.height > 1);
    if (!rects.length) continue; // folded
    check(parent, node.data, getComputedStyle(parent).color);
    checkSize(parent, node.data);
    const scroller = parent.closest(".scroll");
    const scrolls = scroller && getComputedStyle(scroller).overflowX === "auto";
    for (const rect of rects) {
      // Beyond the edge of a box that scrolls, text is neither cut nor in another's place.
      const box = scrolls ? scroller.getBoundingClientRect() : null;
      if (box && (box.left < -1 || box.right > width + 1)) note("cut box", node.data);
      if (!box && (rect.left < -1 || rect.right > width + 1)) note("cut", node.data, `${rect.left} to ${rect.right}`);
      if (!box || rect.right <= box.right + 1) lines.push([rect, node.data, parent]);
    }
  }
  for (const text of document.querySelectorAll(".chart svg text")) {
    const rect = text.getBoundingClientRect();
    if (!text.textContent.trim() || rect.width < 1) continue;
    if (getComputedStyle(text).opacity === "0" || text.closest('[style*="opacity: 0"]')) continue;
    const chart = text.closest(".chart").getBoundingClientRect();
    const outside = [chart.left - rect.left, rect.right - chart.right, chart.top - rect.top, rect.bottom - chart.bottom];
    if (Math.max(...outside) > 2) note("cut in chart", text.textContent, `${text.closest(".chart").id} by ${Math.max(...outside).toFixed(0)} px`);
    // Cells of matrices are pictures, whose contrast a test of the colours computes.
    if (!text.closest(".hm")) check(text.closest(".chart"), text.textContent, getComputedStyle(text).fill);
    const {a, b} = text.getScreenCTM(); // a drawing may be shown smaller than it is
    checkSize(text, text.textContent, Math.hypot(a, b));
    lines.push([rect, text.textContent, text]);
  }
  lines.sort((a, b) => a[0].top - b[0].top);
  for (let i = 0; i < lines.length; i++) {
    const [one, text, first] = lines[i];
    for (let j = i + 1; j < lines.length && lines[j][0].top < one.bottom - 2; j++) {
      const [other, more, second] = lines[j];
      const common = Math.min(one.right, other.right) - Math.max(one.left, other.left);
      const height = Math.min(one.bottom, other.bottom) - other.top;
      if (common > 2 && height > 3 && first !== second)
        note("overlap", text, `and "${more.trim().slice(0, 40)}" by ${common.toFixed(0)} x ${height.toFixed(0)} px ${(first.closest(".chart") || {}).id || ""}`);
    }
  }
  return faults;
})()
