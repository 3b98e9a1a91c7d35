"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const say = (words) => { byId("said").textContent = words; };

  for (const button of document.querySelectorAll("[data-copies]")) {
    const label = button.textContent;
    button.addEventListener("click", async () => {
      const source = byId(button.dataset.copies);
      try {
        await navigator.clipboard.writeText(source.textContent);
      } catch {  // not allowed here: select it, so that the keys for copying do
        getSelection().selectAllChildren(source);
        if (!document.execCommand("copy")) { say("Selected: press Ctrl+C to copy"); return; }
      }
      say("Copied");
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = label; }, 2000);
    });
  }

  if (!byId("plots")) return;
  const plots = JSON.parse(byId("plots").textContent);

  const unpack = async () => {
    const packed = Uint8Array.from(atob(byId("plotly").textContent), (letter) => letter.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(stream).text();
    document.head.append(script);
  };

  const isDark = matchMedia("(prefers-color-scheme: dark)"), isNarrow = matchMedia("(max-width: 40rem)");

  const themed = (layout) => {
    const [text, line, raised] = ["--text", "--line", "--raised"].map(colour);
    const found = {...layout, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", autosize: true, dragmode: false};
    found.font = {...layout.font, color: text, family: "system-ui, sans-serif"};
    found.hoverlabel = {bgcolor: raised, bordercolor: line, font: {color: text}, align: "left"};
    found.margin = {...layout.margin, t: 40};
    for (const key of Object.keys(layout).filter((one) => /^[xy]axis/.test(one)).concat("xaxis", "yaxis")) {
      found[key] = {...layout[key], gridcolor: line, linecolor: line, automargin: true, zeroline: false};
    }
    if (isNarrow.matches) {
      found.margin = {...found.margin, l: 10, r: 10};
      found.legend = {...layout.legend, orientation: "h", y: -0.25, yanchor: "top"};
    }
    return found;
  };

  const draw = (place) => {
    const plot = plots[place.dataset.plot];
    return Plotly.react(place, plot.data, themed(plot.layout), {responsive: true, displaylogo: false, displayModeBar: false});
  };

  const drawn = new Set();
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries.filter((one) => one.isIntersecting)) {
      seen.unobserve(entry.target);
      drawn.add(entry.target);
      draw(entry.target);
    }
  }, {rootMargin: "400px"});

  unpack().then(() => {
    for (const place of document.querySelectorAll("[data-plot]")) seen.observe(place);
    for (const one of [isDark, isNarrow]) one.addEventListener("change", () => drawn.forEach(draw));
    addEventListener("beforeprint", () => document.querySelectorAll("[data-plot]").forEach(draw));
  }).catch(() => say("This browser cannot unpack the plots; the tables have their figures"));
})();
