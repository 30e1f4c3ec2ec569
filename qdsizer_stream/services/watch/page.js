// What the page does with new words: `source.text` holds them as JSON, `plots` are the plots, and `labels`
// are those of the reflections.
const state = JSON.parse(source.text)
// As text, never as HTML; only what has changed, so that a screen reader reads news alone.
for (const [id, words] of Object.entries(state.words)) {
  const element = document.getElementById(id)
  if (element && element.textContent !== words) { element.textContent = words }
  if (element) { element.hidden = words === "" }
}
document.getElementById("size").style.color = state.size_colour
document.getElementById("status").style.color = state.colour
document.getElementById("truth-legend").hidden = !state.truth
document.getElementById("target-legend").hidden = !state.target
const downloads = document.getElementById("downloads")
downloads.hidden = state.run === ""
for (const kind of ["png", "csv"]) {
  document.getElementById(kind).href = `download/${encodeURIComponent(state.run)}.${kind}`
}
document.getElementById("refines").hidden = !state.refines
document.getElementById("refine").href = `refine/${encodeURIComponent(state.run)}`
const runs = document.getElementById("runs")
const shown = JSON.stringify([state.runs, state.run])
runs.parentElement.hidden = state.runs.length === 0
if (runs.dataset.shown !== shown) {
  runs.dataset.shown = shown
  const focused = document.activeElement && document.activeElement.getAttribute("href")
  runs.replaceChildren(...state.runs.map((run) => {
    const item = document.createElement("li"), link = document.createElement("a")
    link.href = `?run=${encodeURIComponent(run.uid)}`
    if (run.uid === state.run) { link.setAttribute("aria-current", "page") }
    link.append(run.title)
    const about = document.createElement("small")
    about.textContent = run.about
    link.append(about)
    item.append(link)
    return item
  }))
  if (focused) {  // the list was built again below the keyboard
    const again = [...runs.querySelectorAll("a")].find((link) => link.getAttribute("href") === focused)
    if (again) { again.focus() }
  }
}
const scale = () => {
  const px = Math.round(parseFloat(getComputedStyle(document.documentElement).fontSize))
  labels.text_font_size = `${Math.round(0.85 * px)}px`
  for (const plot of plots) {
    for (const axis of [...plot.left, ...plot.below]) {
      axis.axis_label_text_font_size = axis.major_label_text_font_size = `${px}px`
    }
    for (const bar of plot.right) { bar.major_label_text_font_size = `${px}px` }
    plot.min_border_left = Math.round(4.6 * px)
  }
}
if (!window.qdsizer_scaled) {
  window.qdsizer_scaled = true
  window.addEventListener("resize", scale)
  scale()
}
