// The page "Live": frames are left out and made noisy, and three methods predict them, in the reader's browser.
// What a method predicts is a matrix of weights times the measured frames. The weights of `linear` and `cubic` depend
// on the angles alone, those of `smooth` also on how alike the frames are. The same in Python: tsg_core.interpolation,
// modules `angles` and `kriging`. Angles are counted in spacings of the measured frames.
(() => {
  "use strict";
  const GAPS = [2, 3, 4, 5, 6, 10, 12, 15]; // all divide the 60 steps of the series: both ends are always measured
  const DOSES_per_A2 = [Infinity, 64000, 32000, 16000, 8000, 4000, 2000, 1000];
  const range = (n) => Array.from({ length: n }, (_, i) => i);
  const matrix = (rows, columns, value) => range(rows).map((i) => new Float64Array(columns).map((_, j) => value(i, j)));
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

  // --- linear algebra: matrices are arrays of rows --------------------------------------------------------------------

  function times(a, b) {
    return a.map((row) => {
      const sum = new Float64Array(b[0].length);
      for (let k = 0; k < b.length; k++) {
        const weight = row[k], other = b[k];
        if (weight) for (let j = 0; j < sum.length; j++) sum[j] += weight * other[j];
      }
      return sum;
    });
  }

  // The inverse by Gauss and Jordan, and the logarithm of the determinant; no pivoting: the matrices here need none.
  function inverted(a) {
    const inverse = a.map((row) => row.slice()), n = a.length;
    let logDeterminant = 0;
    for (let k = 0; k < n; k++) {
      const row = inverse[k], pivot = row[k];
      logDeterminant += Math.log(Math.abs(pivot));
      row[k] = 1;
      for (let j = 0; j < n; j++) row[j] /= pivot;
      for (const other of inverse) {
        if (other === row) continue;
        const factor = other[k];
        other[k] = 0;
        for (let j = 0; j < n; j++) other[j] -= factor * row[j];
      }
    }
    return { inverse, logDeterminant };
  }

  // --- weights over the angle -----------------------------------------------------------------------------------------

  function linearWeights(n, wanted) {
    return wanted.map((t) => {
      const i = Math.min(Math.floor(t), n - 2);
      return new Float64Array(n).map((_, j) => j === i || j === i + 1 ? 1 - Math.abs(t - j) : 0);
    });
  }

  // A not-a-knot spline: its second derivatives m solve m[i-1] + 4 m[i] + m[i+1] = 6 (y[i-1] - 2 y[i] + y[i+1]), and
  // lie on a line at both ends.
  function cubicWeights(n, wanted) {
    const inner = (i) => i > 0 && i < n - 1;
    const end = (i) => (i ? n - 2 : 1);
    const stencil = (centre) => (i, j) => (Math.abs(i - j) === 1 ? 1 : i === j ? centre : 0);
    const knots = matrix(n, n, (i, j) => (inner(i) ? stencil(4)(i, j) : stencil(-2)(end(i), j)));
    const bends = matrix(n, n, (i, j) => (inner(i) ? 6 * stencil(-2)(i, j) : 0));
    const curvature = times(inverted(knots).inverse, bends);
    return linearWeights(n, wanted).map((row, k) => {
      const i = Math.min(Math.floor(wanted[k]), n - 2);
      const [a, b] = [row[i], row[i + 1]];
      return row.map((weight, j) => weight + ((a ** 3 - a) * curvature[i][j] + (b ** 3 - b) * curvature[i + 1][j]) / 6);
    });
  }

  // --- smooth: kriging of the coefficients of the cosine transform, band by band --------------------------------------

  const EDGES = [0.03, 0.06, 0.12, 0.25, 0.5];
  const SHAPES = [(d) => Math.exp(-d), (d) => (1 + Math.sqrt(3) * d) * Math.exp(-Math.sqrt(3) * d), (d) => Math.exp(-d * d / 2)];
  const RANGES = [0.5, 1, 2, 3, 5, 8, 13, 21, 34, 60];
  const LASTING = [0, 0.3, 0.6, 0.9, 0.97];
  const NOISE = [1e-6, 1e-5, 1e-4, 1e-3, 3e-3, 1e-2, 0.03, 0.1, 0.3, 1, 3, 10, 100];

  const cosines = (n) => matrix(n, n, (k, i) => Math.sqrt((k ? 2 : 1) / n) * Math.cos((Math.PI * (i + 0.5) * k) / n));

  function transformed(frames, n, left, right) {
    return frames.map((frame) => {
      const rows = range(n).map((i) => frame.subarray(i * n, (i + 1) * n));
      const result = new Float64Array(n * n);
      times(times(left, rows), right).forEach((row, i) => result.set(row, i * n));
      return result;
    });
  }

  // The indices of the coefficients of each band: the mean of a frame, then rings of spatial frequencies.
  function bandsOf(n) {
    const bands = range(EDGES.length + 2).map(() => []);
    for (let k = 0; k < n * n; k++) {
      const radius = Math.hypot(Math.floor(k / n), k % n) / n;
      bands[k ? 1 + EDGES.filter((edge) => edge <= radius).length : 0].push(k);
    }
    return bands.filter((band) => band.length);
  }

  const CANDIDATES = SHAPES.flatMap((shape) => RANGES.flatMap((reach) => LASTING.flatMap((lasting) => NOISE.map((noise) =>
    ({ covariance: (d) => lasting + (1 - lasting) * shape(d / reach), noise })))));

  // The most likely covariance of each band; the variance is free.
  function likeliest(spectra, bands) {
    const n = spectra.length;
    const products = bands.map((band) =>
      matrix(n, n, (i, j) => band.reduce((sum, k) => sum + spectra[i][k] * spectra[j][k], 0)));
    const best = bands.map(() => ({ likelihood: -Infinity }));
    for (const { covariance, noise } of CANDIDATES) {
      const values = range(n).map(covariance);
      const { inverse, logDeterminant } = inverted(matrix(n, n, (i, j) => values[Math.abs(i - j)] + noise * (i === j)));
      bands.forEach((band, b) => {
        let power = 0;
        for (let i = 0; i < n; i++) {
          const row = inverse[i], other = products[b][i];
          for (let j = 0; j < n; j++) power += row[j] * other[j];
        }
        const scale = power / (n * band.length) + Number.MIN_VALUE;
        const likelihood = (-band.length / 2) * (logDeterminant + n * Math.log(scale));
        if (likelihood > best[b].likelihood) best[b] = { likelihood, covariance, inverse };
      });
    }
    return best;
  }

  function smooth(frames, n_pixels, wanted) {
    const forward = cosines(n_pixels);
    const backward = matrix(n_pixels, n_pixels, (i, j) => forward[j][i]);
    const spectra = transformed(frames, n_pixels, forward, backward);
    const predicted = wanted.map(() => new Float64Array(n_pixels * n_pixels));
    const bands = bandsOf(n_pixels);
    likeliest(spectra, bands).forEach(({ covariance, inverse }, b) => {
      const towards = matrix(wanted.length, frames.length, (i, j) => covariance(Math.abs(wanted[i] - j)));
      const coefficients = spectra.map((spectrum) => Float64Array.from(bands[b], (k) => spectrum[k]));
      times(times(towards, inverse), coefficients).forEach((values, i) => values.forEach((value, c) => (predicted[i][bands[b][c]] = value)));
    });
    return transformed(predicted, n_pixels, backward, forward);
  }

  const METHODS = {
    linear: (frames, n_pixels, wanted) => times(linearWeights(frames.length, wanted), frames),
    cubic: (frames, n_pixels, wanted) => times(cubicWeights(frames.length, wanted), frames),
    smooth,
  };

  // --- the experiment -------------------------------------------------------------------------------------------------

  // Random numbers between 0 and 1 that a seed repeats: mulberry32.
  function generator(seed) {
    let state = seed;
    return () => {
      state = (state + 0x6d2b79f5) | 0;
      let t = Math.imul(state ^ (state >>> 15), 1 | state);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
  }

  function poisson(expected, random) {
    if (expected > 60) { // normal, by Box and Muller
      const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
      return Math.max(0, Math.round(expected + Math.sqrt(expected) * normal));
    }
    let count = -1;
    for (let left = 1, least = Math.exp(-expected); left > least; left *= random()) count += 1;
    return Math.max(0, count);
  }

  const recorded = (frame, perUnit, random) =>
    perUnit === Infinity ? frame : frame.map((value) => poisson(perUnit * value, random) / perUnit);

  // Every gap-th frame at a dose, and what the methods make of the others; frames are in units of the brightest pixel.
  function experiment(series, { gap, dose_per_A2 }) {
    const perUnit = dose_per_A2 * series.pixel_size_A ** 2 * series.brightest;
    const all = range(series.frames.length);
    const kept = all.filter((i) => i % gap === 0), targets = all.filter((i) => i % gap);
    const measured = kept.map((i) => recorded(series.frames[i], perUnit, generator(i + 1)));
    const predicted = {}, psnr_dB = {};
    for (const [name, method] of Object.entries(METHODS)) {
      predicted[name] = method(measured, series.n_pixels, targets.map((i) => i / gap)).map((f) => f.map((v) => Math.max(0, v)));
      psnr_dB[name] = predicted[name].map((frame, k) =>
        -10 * Math.log10(mean(frame.map((value, p) => (value - series.frames[targets[k]][p]) ** 2))));
    }
    return { kept, targets, measured, predicted, psnr_dB };
  }

  // --- the page -------------------------------------------------------------------------------------------------------

  function draw(canvas, frame, white) {
    const picture = new ImageData(canvas.width, canvas.height);
    frame.forEach((value, k) => picture.data.set([...Array(3).fill(255 * Math.min(1, value / white)), 255], 4 * k));
    canvas.getContext("2d").putImageData(picture, 0, 0);
  }

  const PAGE = (n, names) => `
    <label>Measured every <input type="range" data-is="gap" min="0" max="${GAPS.length - 1}" value="2"> <output></output></label>
    <label>Dose <input type="range" data-is="dose" min="0" max="${DOSES_per_A2.length - 1}" value="0"> <output></output></label>
    <label>Tilt <input type="range" data-is="tilt" min="0" value="0"> <output></output></label>
    <div class="tsg-live-frames">${["truth", "measured", ...names].map((name) =>
      `<div><canvas width="${n}" height="${n}" data-is="${name}" role="img" aria-label="frame, ${name}"></canvas><span>${name}</span></div>`).join("")}</div>
    <table class="table"><thead><tr><th scope="col">method</th><th scope="col">this frame (dB)</th>
    <th scope="col">mean of all left-out frames (dB)</th></tr></thead><tbody></tbody></table>`;

  function show(box, series) {
    const names = Object.keys(METHODS);
    box.innerHTML = PAGE(series.n_pixels, names);
    const part = (name) => box.querySelector(`[data-is="${name}"]`);
    const label = (input, text) => {
      input.nextElementSibling.value = text;
      input.setAttribute("aria-valuetext", text);
    };
    let found;
    function showFrame() {
      const k = Number(part("tilt").value), i = found.targets[k];
      const truth = series.frames[i], white = Math.max(...truth);
      const nearest = found.kept.findIndex((m) => Math.abs(m - i) <= found.kept[1] / 2);
      label(part("tilt"), `${series.tilt_deg[i]}°, left out`);
      draw(part("truth"), truth, white);
      draw(part("measured"), found.measured[nearest], white);
      part("measured").nextElementSibling.textContent = `measured at ${series.tilt_deg[found.kept[nearest]]}°`;
      names.forEach((name) => draw(part(name), found.predicted[name][k], white));
      box.querySelector("tbody").innerHTML = names.map((name) => `<tr><th scope="row">${name}</th><td>${
        found.psnr_dB[name][k].toFixed(1)}</td><td>${mean(found.psnr_dB[name]).toFixed(1)}</td></tr>`).join("");
    }
    function compute() {
      const gap = GAPS[part("gap").value], dose_per_A2 = DOSES_per_A2[part("dose").value];
      label(part("gap"), `${gap * (series.tilt_deg[1] - series.tilt_deg[0])}°`);
      label(part("dose"), dose_per_A2 === Infinity ? "no noise" : `${dose_per_A2} e/Å² a frame`);
      found = experiment(series, { gap, dose_per_A2 });
      part("tilt").max = found.targets.length - 1;
      part("tilt").value = found.targets.findIndex((i) => i >= (series.frames.length - 1) / 2 + gap / 2 - 0.5);
      showFrame();
    }
    for (const [name, update] of Object.entries({ gap: compute, dose: compute, tilt: showFrame }))
      part(name).addEventListener("input", update);
    compute();
    window.tsgLive = (settings) => experiment(series, settings); // for those who want the numbers
  }

  async function begin() {
    const data = window.tsgLiveData, size = data.n_pixels ** 2;
    const packed = new Blob([Uint8Array.from(atob(data.levels), (letter) => letter.charCodeAt(0))]);
    const unpacked = packed.stream().pipeThrough(new DecompressionStream("gzip"));
    const levels = new Uint8Array(await new Response(unpacked).arrayBuffer());
    const frames = data.tilt_deg.map((_, i) => Float64Array.from(levels.subarray(i * size, (i + 1) * size), (v) => v / 255));
    show(document.getElementById("tsg-live"), { ...data, frames });
  }

  document.addEventListener("DOMContentLoaded", begin);
})();
