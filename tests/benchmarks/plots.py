"""Draws the curves of a report, PNG and SVG each. Runs in an environment with matplotlib alone."""

import json
import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("agg")  # before pyplot is imported: it opens no window
from matplotlib import pyplot as plt

MARKS = "osD^vPX*<>"


def main(report):
    for findings in json.loads(report.read_text()).values():
        for curve in findings["curves"]:
            draw(curve, report.parent)


def draw(curve, folder):
    figure, axes = plt.subplots(figsize=(8, 5), layout="constrained")
    for place, (name, points) in enumerate(curve["series"].items()):
        if points:
            style = {"linewidth": 2.5, "color": "black"} if name == "ours" else {}
            mark = MARKS[place % len(MARKS)]
            axes.plot(*zip(*points, strict=True), marker=mark, label=name, **style)
    axes.set(title=curve["title"], xlabel=curve["x_label"], ylabel=curve["y_label"], ylim=(0, None))
    if curve["logarithmic"]:
        axes.set_xscale("log", base=2)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    for kind in ("png", "svg"):
        # No date in it: the same figures give the same file.
        metadata = {"Date": None} if kind == "svg" else {}
        figure.savefig(folder / f"{curve['name']}.{kind}", metadata=metadata)
    plt.close(figure)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
