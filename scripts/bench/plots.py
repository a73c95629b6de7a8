"""Draws what results.json holds: docs/bench/*.svg, the same bytes for the same figures.

    throughput.svg   bars: speed against SET, a line from least to most
    scale.svg        one small plot per curve, both axes logarithmic: a flat line is a cost that does not grow
    latency.svg      percentiles of the open loop
"""
import math

from . import report

COLOURS = {"the server's own": "#777777", "rate limits": "#1f77b4", "quotas": "#2ca02c", "scripts": "#d62728",
           "other modules": "#ff7f0e"}
COLUMNS = 3
LEAST_TOP_US = 10  # curves that stay below are drawn to here, or noise would look like growth


def pyplot():
    """Imported when something is drawn: it takes a second. Text stays text, nothing changes from day to day."""
    import matplotlib
    matplotlib.use("svg")
    colours = matplotlib.rcParams["axes.prop_cycle"]  # ten of them, then again with broken lines
    matplotlib.rcParams.update({"axes.prop_cycle": matplotlib.cycler(linestyle=["-", "--"]) * colours,
                                "svg.fonttype": "none", "svg.hashsalt": "bench", "font.size": 9,
                                "axes.spines.top": False, "axes.spines.right": False})
    from matplotlib import pyplot as drawing
    return drawing


def save(figure, path):
    figure.savefig(path, metadata={"Date": None}, bbox_inches="tight")
    text = path.read_text(encoding="utf-8")
    path.write_text("\n".join(line.rstrip() for line in text.splitlines()) + "\n", encoding="utf-8")


def throughput(drawing, part, path):
    names, rows = list(part["rows"]), list(part["rows"].values())
    speeds = [row["x_set"]["median"] for row in rows]
    ends = [[row["x_set"]["median"] - row["x_set"]["least"] for row in rows],
            [row["x_set"]["most"] - row["x_set"]["median"] for row in rows]]
    figure, axes = drawing.subplots(figsize=(8, 0.24 * len(rows) + 1))
    axes.barh(names, speeds, xerr=ends, color=[COLOURS[row["group"]] for row in rows], ecolor="#333333",
              error_kw={"linewidth": 1})
    for place, (speed, end) in enumerate(zip(speeds, ends[1])):
        axes.text(speed + end + 0.01, place, f"{speed:.2f}", va="center")
    axes.axvline(1, color="#777777", linewidth=0.8, linestyle=":")
    axes.invert_yaxis()
    axes.set_xlabel("x SET: CPU of SET / CPU of this, same round; median, least to most; longer is faster\n"
                    f"pipeline 16, {part['settings']['keys']:,} random keys, {part['machine']['server']}")
    groups = dict.fromkeys(row["group"] for row in rows)
    axes.legend([drawing.Rectangle((0, 0), 1, 1, color=COLOURS[group]) for group in groups], groups, loc="lower right",
                frameon=False)
    save(figure, path)


def curve(axes, name, by_probe):
    top = LEAST_TOP_US
    for probe, by_size in by_probe.items():
        axes.plot([int(size) for size in by_size], list(by_size.values()), marker="o", markersize=3, label=probe)
        top = max(top, *by_size.values())
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(0.1, top * 1.5)
    axes.set_title(name, fontsize=10)
    axes.set_ylabel("us")
    axes.legend(fontsize=6.5, frameon=False, loc="lower right", ncols=2)
    axes.grid(True, which="major", linewidth=0.3)


def scale(drawing, part, path):
    curves = part["curves"]
    lines = math.ceil(len(curves) / COLUMNS)
    figure, grid = drawing.subplots(lines, COLUMNS, figsize=(5 * COLUMNS, 3.4 * lines), squeeze=False)
    for axes, (name, by_probe) in zip(grid.flat, curves.items()):
        curve(axes, name, by_probe)
    for axes in list(grid.flat)[len(curves):]:
        axes.set_visible(False)
    figure.tight_layout()
    save(figure, path)


def latency(drawing, part, path):
    percentiles = [name for name in next(iter(part["ms"].values())) if name.startswith("p")]
    figure, axes = drawing.subplots(figsize=(7, 3.5))
    for name, row in part["ms"].items():
        axes.plot(percentiles, [row[key]["median"] for key in percentiles], marker="o", markersize=3, label=name)
    axes.set_yscale("log")
    axes.set_ylabel("ms")
    axes.set_xlabel(f"open loop at {part['per_second']:,.0f} commands a second; p100 is the longest")
    axes.legend(frameon=False)
    axes.grid(True, which="major", linewidth=0.3)
    save(figure, path)


def run(settings):
    """Draws the parts that are there."""
    results, drawing = report.read(settings.out / "results.json"), pyplot()
    for name, draw in (("throughput", throughput), ("scale", scale), ("latency", latency)):
        if name in results:
            draw(drawing, results[name], settings.out / f"{name}.svg")
            drawing.close("all")
