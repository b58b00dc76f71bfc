// Stacked bars of the spend page and the overview, drawn by Chart.js from data that the page holds as JSON.

const COLOURS = ["#0f766e", "#2563eb", "#d97706", "#7c3aed", "#db2777", "#65a30d", "#0891b2", "#b45309", "#4f46e5", "#6b7280"];
const SHADES = { light: { text: "#4b5563", grid: "#e5e7eb" }, dark: { text: "#9ca3af", grid: "#374151" } };

const isDark = () => document.documentElement.classList.contains("dark");
const pad = (number) => String(number).padStart(2, "0");

function label(iso, byDay) {
  const moment = new Date(iso);
  if (byDay) return iso.slice(5, 10); // days are UTC's, as the sums are
  return `${pad(moment.getHours())}:${pad(moment.getMinutes())}`;
}

function amount(value, money) {
  if (!money) return value.toLocaleString("en");
  return value > 0 && value < 0.01 ? `$${value.toPrecision(2)}` : `$${value.toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`;
}

function draw(canvas) {
  const data = JSON.parse(document.getElementById(canvas.dataset.chart).textContent);
  const shade = SHADES[isDark() ? "dark" : "light"];
  return new Chart(canvas, {
    type: "bar",
    data: {
      labels: data.steps.map((step) => label(step, data.byDay)),
      datasets: data.rows.map((row, index) => ({
        label: row.name,
        data: row.values,
        backgroundColor: COLOURS[Math.min(index, COLOURS.length - 1)],
        stack: "all",
        maxBarThickness: 40,
      })),
    },
    options: {
      animation: false,
      maintainAspectRatio: false,
      interaction: { mode: "index", intersect: false },
      plugins: {
        legend: { position: "bottom", labels: { color: shade.text, boxWidth: 12 } },
        tooltip: {
          filter: (item) => item.raw > 0,
          callbacks: { label: (item) => `${item.dataset.label}: ${amount(item.raw, data.money)}` },
        },
      },
      scales: {
        x: { stacked: true, ticks: { color: shade.text, maxRotation: 0, autoSkipPadding: 12 }, grid: { display: false } },
        y: { stacked: true, beginAtZero: true, ticks: { color: shade.text, callback: (value) => amount(value, data.money) }, grid: { color: shade.grid } },
      },
    },
  });
}

let charts = [];
const drawAll = () => {
  charts.forEach((chart) => chart.destroy());
  charts = [...document.querySelectorAll("canvas[data-chart]")].map(draw);
};
drawAll();
new MutationObserver(drawAll).observe(document.documentElement, { attributes: true, attributeFilter: ["class"] });
