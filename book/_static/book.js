// Figures that move load what they need when they come near the screen; until then, on paper and without scripts,
// a still picture stands for them. Tables, code and pictures that scroll can be scrolled with the keyboard.
(() => {
  "use strict";
  const root = document.documentElement.dataset.content_root || "./";
  const loaded = new Map();

  function run(address) {
    return new Promise((done, failed) => {
      const script = document.createElement("script");
      script.src = address;
      script.onload = done;
      script.onerror = failed;
      document.head.append(script);
    });
  }

  function load(path) {
    if (!loaded.has(path)) loaded.set(path, run(`${root}_static/${path}`));
    return loaded.get(path);
  }

  // plotly arrives compressed, in a script that calls this function: pages opened from a folder may load scripts alone
  let plotly = null;
  window.tsgUnpack = (text) => {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const unpacked = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    plotly = new Response(unpacked).blob().then((code) => run(URL.createObjectURL(code)));
  };

  // the data of a figure arrive by a script that calls this function
  window.tsgFigure = (name, kind, data) => {
    const figure = document.getElementById(name);
    const still = figure.querySelector("img");
    still.classList.add("tsg-still");
    (kind === "slider" ? drawSlider : drawPlotly)(figure, still, data);
    figure.classList.add("tsg-drawn");
  };

  function drawPlotly(figure, still, data) {
    const place = document.createElement("div");
    place.className = "plotly-graph-div";
    place.setAttribute("role", "group");
    place.setAttribute("aria-label", still.alt);
    place.style.height = `${data.layout.height}px`;
    figure.insertBefore(place, figure.firstChild);
    const options = { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["toImage"] };
    Plotly.newPlot(place, data.data, data.layout, options).then(() => Plotly.addFrames(place, data.frames || []));
  }

  function drawSlider(figure, still, data) {
    const last = data.labels.length - 1;
    const box = document.createElement("div");
    box.className = "tsg-frames";
    box.innerHTML = `<div class="tsg-names">${data.names.map((name) => `<span>${name}</span>`).join("")}</div>
      <div class="tsg-window"><img alt=""></div>
      <label>Tilt <input type="range" min="0" max="${last}" value="${data.start}"> <output></output></label>`;
    const [frames, sheet] = [box.querySelector(".tsg-window"), box.querySelector("img")];
    const [input, output] = [box.querySelector("input"), box.querySelector("output")];
    frames.style.aspectRatio = `${data.width} / ${data.height}`;
    sheet.src = data.sheet;
    sheet.alt = still.alt;
    const show = () => {
      sheet.style.transform = `translateY(${(-100 * input.value) / data.labels.length}%)`;
      output.value = data.labels[input.value];
      input.setAttribute("aria-valuetext", output.value);
    };
    input.addEventListener("input", show);
    show();
    figure.insertBefore(box, figure.firstChild);
  }

  function draw(figure) {
    const data = () => load(`figures/${figure.id}.js`);
    return figure.classList.contains("tsg-plotly") ? load("plotly-gl3d.packed.js").then(() => plotly).then(data) : data();
  }

  function watchFigures() {
    const near = new IntersectionObserver((seen) => {
      for (const { isIntersecting, target } of seen) {
        if (isIntersecting) {
          near.unobserve(target);
          draw(target);
        }
      }
    }, { rootMargin: "300px" });
    const able = window.DecompressionStream ? "figure.tsg-plotly, figure.tsg-slider" : "figure.tsg-slider";
    document.querySelectorAll(able).forEach((figure) => near.observe(figure));
  }

  // a box that scrolls must be reachable by keyboard, and be named
  function nameBoxes() {
    const boxes = ".cell_output, .pst-scrollable-table-container, .highlight pre, .tsg-picture, mjx-container, .math";
    for (const box of document.querySelectorAll(`.bd-article :is(${boxes})`)) {
      const scrolls = box.scrollWidth > box.clientWidth + 1;
      if (!scrolls && box.dataset.scrolls) {
        for (const name of ["tabindex", "role", "aria-label", "data-scrolls"]) box.removeAttribute(name);
      } else if (scrolls && box.tabIndex < 0) { // nobody's yet, or the theme took it away while it measured on paper
        box.tabIndex = 0;
        if (!box.dataset.scrolls && !box.matches("mjx-container")) {
          box.setAttribute("role", "region");
          box.setAttribute("aria-label", box.querySelector("caption")?.textContent.trim() || describe(box));
        }
        box.dataset.scrolls = "yes";
      }
    }
  }

  let count = 0;
  function describe(box) {
    count += 1;
    const kind = box.querySelector("table") ? "Table" : box.matches("pre") ? "Code" : "Picture";
    return `${kind} ${count}, scrolls sideways`;
  }

  document.addEventListener("DOMContentLoaded", () => {
    // a wide picture scrolls in a box of its own
    document.querySelectorAll("figure.tsg-wide > img").forEach((picture) => {
      const box = document.createElement("div");
      box.className = "tsg-picture";
      picture.replaceWith(box);
      box.append(picture);
    });
    watchFigures();
    nameBoxes();
    addEventListener("load", nameBoxes);
    addEventListener("resize", nameBoxes);
    matchMedia("print").addEventListener("change", nameBoxes);
    document.addEventListener("change", nameBoxes); // another tab
  });
})();
