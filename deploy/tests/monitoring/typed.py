"""Prints a dashboard as TypeScript that only compiles if it is what Grafana's types say."""  # noqa: INP001  a script's folder

import json
import sys
from pathlib import Path

from expressions import panels_of

HEAD = """\
import type {
  Dashboard, GraphFieldConfig, VizLegendOptions, VizTooltipOptions,
} from '@grafana/schema';

/** A type as JSON has it: the values of enums in place of the enums. */
type Json<T> = T extends string ? `${T}` : T extends object ? { [K in keyof T]: Json<T[K]> } : T;
type Mark = Record<'expr' | 'step' | 'titleFormat' | 'textFormat' | 'tagKeys', string>;
interface Line { legend: Json<VizLegendOptions>; tooltip: Json<VizTooltipOptions> }
"""


MARK = ("expr", "step", "titleFormat", "textFormat", "tagKeys")
"""What Prometheus' part of Grafana reads of an annotation; Grafana's type knows tags only."""


def main(dashboard: Path) -> None:
    """Print the dashboard, and what its type leaves open of annotations and lines."""
    model = json.loads(dashboard.read_text())
    sys.stdout.write(HEAD)
    for number, one in enumerate(model["annotations"]["list"]):
        _print(f"mark{number}", "Mark", {name: one.pop(name) for name in MARK})
    _print("dashboard", "Json<Dashboard>", model)
    for number, panel in enumerate(panels_of(model)):
        if panel["type"] == "timeseries":
            _print(f"options{number}", "Line", panel["options"])
            custom = panel["fieldConfig"]["defaults"]["custom"]
            _print(f"custom{number}", "Json<GraphFieldConfig>", custom)


def _print(name: str, kind: str, value: object) -> None:
    sys.stdout.write(f"export const {name}: {kind} = {json.dumps(value)};\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
