"""The order of the report's page: answer, tables, figures, the gate, how to trace a number."""

from collections.abc import Mapping, Sequence

from tissuetrace.report.pages import (
    Bullets,
    Page,
    Paragraph,
    Picture,
    Section,
    table_blocks,
)
from tissuetrace.report.provenance import footer, trace_section, verdict_words
from tissuetrace.report.tables import Table
from tissuetrace.studies.leukemia import comparison, deviations, findings, robustness, wording
from tissuetrace.studies.leukemia.outcome import Outcome

__all__ = ["all_tables", "compose"]

_READING_HELP = (
    "ALL: leukemic blast, the positive class. Normal: normal precursor, hem in file names.",
    "AUC: chance that an ALL cell gets a higher probability than a normal one; 0.5 is a coin.",
    "False-positive rate: share of normal cells called ALL. Sensitivity: share of ALL cells found.",
    "[low, high]: 95 % interval from drawing whole groups of linked subjects again and again.",
    "It tells how a number moves with other subjects; another training has a table of its own.",
    "No brackets: too few groups to draw from, or no draw changed the number.",
    "A class with a single group shows no spread: an interval that leans on it is too narrow.",
)


def all_tables(outcome: Outcome) -> dict[str, Table]:
    """Return every table of the report by name, in the order of the page."""
    tables = [
        findings.headline_table(outcome),
        findings.model_table(outcome),
        findings.difference_table(outcome),
        robustness.leakage_table(outcome),
        *([robustness.recovery_table(outcome)] if outcome.is_phantom else []),
        findings.threshold_table(outcome),
        *([findings.preliminary_table(outcome)] if _has_preliminary(outcome) else []),
        robustness.strategy_table(outcome),
        findings.seed_table(outcome),
        findings.group_table(outcome),
        *comparison.comparison_tables(outcome),
        comparison.contradiction_table(),
        deviations.deviation_table(outcome),
        *robustness.gate_tables(outcome),
    ]
    return {table.name: table for table in tables}


def compose(outcome: Outcome, tables: Mapping[str, Table], pictures: Sequence[Picture]) -> Page:
    """Put tables and figures in order, between the answer and the way back to the images."""
    ours = ["models", "differences", "leakage", "recovery", "preliminary", "thresholds"]
    ours += ["imbalance", "seeds"]
    gate = ["gate_rules", "gate_counts"]
    # of the accuracy within groups the page shows the figure; the rows are in the CSV file
    apart = {*ours, *gate, "headline", "contradictions", "deviations", "per_group"}
    published = [name for name in tables if name not in apart]
    sections = [
        Section(anchor="ours", title="What we found", blocks=table_blocks(tables, ours)),
        Section(
            anchor="paper",
            title="The paper's tables beside ours",
            blocks=table_blocks(tables, published),
        ),
        Section(
            anchor="contradictions",
            title="Contradictions and deviations",
            blocks=table_blocks(tables, ["contradictions", "deviations"]),
        ),
        Section(anchor="figures", title="Figures", blocks=list(pictures)),
        Section(
            anchor="gate",
            title="Was the data fit to train on?",
            blocks=[
                Paragraph(verdict_words(outcome.evidence, outcome.token, also="tables and images")),
                *table_blocks(tables, gate),
            ],
        ),
        trace_section(wording.TRACE),
        Section(anchor="words", title="How to read the numbers", blocks=[Bullets(_READING_HELP)]),
    ]
    return Page(
        title="Leukemic blast or normal precursor? Random forest against CNN",
        subtitle=wording.subtitle(outcome),
        notice=wording.NOTICE if outcome.is_phantom else "",
        answer=wording.answer(outcome),
        tiles=wording.key_numbers(outcome),
        sections=sections,
        footer=footer("leukemia", outcome.token, outcome.origin),
    )


def _has_preliminary(outcome: Outcome) -> bool:
    return bool((outcome.scores["source"] == "prelim").any())
