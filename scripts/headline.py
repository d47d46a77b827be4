"""Print the headline table of the lanes, or write it into the README.

`python scripts/headline.py [LANE]` prints it with where to look; `--write` puts it between the
README's marks. Ours come from `metrics/<lane>/headline.json`, the papers' from the declarations.
"""

import json
import sys
from pathlib import Path

from tissuetrace.pipeline.registry import find_study

ROOT = Path(__file__).parent.parent
BEGIN, END = "<!-- headline: begin -->\n", "<!-- headline: end -->\n"


def main(arguments: list[str]) -> None:
    """Print or write."""
    if arguments == ["--write"]:
        write_into_readme()
        return
    lanes = arguments or lanes_with_metrics()
    for line in table(lanes):
        print(line)
    for lane in lanes:
        print(f"report: reports/{lane}/index.html")
    print("runs:   make ui (MLflow on loopback)")
    print("changes since the last commit: make metrics")


def lanes_with_metrics() -> list[str]:
    """Return the lanes that have headline numbers, sorted."""
    return sorted(path.parent.name for path in (ROOT / "metrics").glob("*/headline.json"))


def table(lanes: list[str]) -> list[str]:
    """Return a Markdown table: lane, number, ours on unseen subjects, the paper's."""
    rows = ["| lane | number | here, unseen subjects | paper |", "|---|---|---|---|"]
    for lane in lanes:
        found = json.loads((ROOT / "metrics" / lane / "headline.json").read_text())
        source = json.loads((ROOT / "sources" / f"{lane}.json").read_text())["kind"]
        for number in find_study(lane).headline:
            value = found.get(number.metric)
            ours = "undefined" if value is None else f"{value:.3f} ({source})"
            rows.append(f"| {lane} | {number.words} | {ours} | {number.published or 'not given'} |")
    return rows


def write_into_readme() -> None:
    """Replace what stands between the README's marks."""
    readme = ROOT / "README.md"
    head, rest = readme.read_text().split(BEGIN)
    _, tail = rest.split(END)
    text = "\n".join(table(lanes_with_metrics()))
    readme.write_text(f"{head}{BEGIN}{text}\n{END}{tail}")


if __name__ == "__main__":
    main(sys.argv[1:])
