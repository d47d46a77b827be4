"""What every study's page says of its gate, and of the way back from a number to its files."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from tissuetrace.report.pages import Commands, Paragraph, Section
from tissuetrace.report.tables import Table, text

__all__ = ["footer", "rules_table", "trace_section", "verdict_words"]


def rules_table(evidence: Mapping[str, Any], *, note: str) -> Table:
    """Return every rule of a gate, with what was found and what is allowed.

    Args:
        evidence: of the gate, whose `findings` each have `rule, severity, held, found, bound`.
        note: says where the images came from.
    """
    findings = pd.DataFrame(evidence["findings"])
    states = [
        "holds" if held else ("warning" if severity == "warning" else "REFUSES")
        for held, severity in zip(findings["held"], findings["severity"], strict=True)
    ]
    return Table(
        name="gate_rules",
        title="What the gate checked before anything was trained",
        caption=f"From evidence.json; counts alone, no value of a patient. {note}",
        frame=findings.drop(columns=["held"]).assign(state=states),
        columns=(
            text("rule", "rule"),
            text("state", "state"),
            text("found", "found"),
            text("bound", "allowed"),
        ),
    )


def verdict_words(evidence: Mapping[str, Any], token: Mapping[str, Any], *, also: str) -> str:
    """Say what the gate's verdict is and what it binds.

    Args:
        evidence: of the gate.
        token: of the gate.
        also: what the page reads that was compared with the token when it was written.
    """
    found = evidence["findings"]
    broken = sum(not one["held"] for one in found)
    return (
        f"The gate's verdict is {token['verdict']!r}; of {len(found)} rules {broken} did not hold, "
        "which are warnings. The token binds the verdict to data, rules and code; it was checked "
        f"again when this page was written, and with it the {also} that the page reads."
    )


def trace_section(commands: Sequence[str], *, beside: str = "") -> Section:
    """Return the section that leads from one number back to the images.

    Args:
        commands: for a shell in the project's folder, comments between them.
        beside: a sentence about files beside the page; empty for none.
    """
    files = "Every table here is also a CSV file, every figure a PNG file, beside this page."
    way = (
        "To follow one number back to the images by hand, from the project's folder, with the "
        "project's Python:"
    )
    words = " ".join(part for part in (files, beside, way) if part)
    return Section(
        anchor="trace",
        title="Where does a number come from?",
        blocks=[Paragraph(words), Commands(commands)],
    )


def footer(study: str, token: Mapping[str, Any], origin: Mapping[str, Any]) -> str:
    """Return the page's last line: study, token, and what the source says of its licence."""
    known = ", ".join(str(part) for part in (origin.get("licence"), origin.get("doi")) if part)
    line = f"tissuetrace, study {study}. Gate token {token['token'][:16]}."
    return f"{line} Images: {known}." if known else line
