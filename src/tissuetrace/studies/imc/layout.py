"""The order of the report's page: answer, tables, figures, the gate, how to trace a number."""

from collections.abc import Mapping, Sequence

from tissuetrace.report.pages import (
    Block,
    Bullets,
    Page,
    Paragraph,
    Picture,
    Section,
    table_blocks,
)
from tissuetrace.report.provenance import footer, trace_section, verdict_words
from tissuetrace.report.tables import Table
from tissuetrace.studies.imc import (
    comparison,
    contradictions,
    deviations,
    findings,
    robustness,
    search_summaries,
    statements,
    strategy_tables,
    wording,
)
from tissuetrace.studies.imc.outcome import Outcome

__all__ = ["all_tables", "compose"]

_READING_HELP = (
    "Positive patch: 40 µm of tissue with T cells that are CD8⁺ and not exhausted.",
    (
        "AUC: chance that a patch with T cells gets a higher probability than one without; 0.5 is "
        "a coin. MCC: Matthews correlation of call and label, 0 is a coin, 1 is perfect."
    ),
    (
        "f: the classifier's probability of T cells. δ: the change of a patch's channel means that "
        "the search found, in standard deviations of the channel."
    ),
    "Level: share of a tumour's patches that f calls infiltrated.",
    (
        "Brackets of scores: 95 % interval of a mean over retrainings. Brackets of effects: 95 % "
        "interval from resampling patients."
    ),
    "A dash: not trained, not searched or not defined.",
)

_OURS = ("headline", "splits", "leaks", "trainings")
_THERAPY = ("strategy_channels", "strategies", "excluded_patients", "searches")
_PAPER = ("table_1_classifiers", "table_3_classifiers", "table_2_search")
_AGAINST = ("contradictions", "published_arithmetic")
_GATE = ("gate_rules", "gate_counts")


def all_tables(outcome: Outcome) -> dict[str, Table]:
    """Return every table of the report by name, in the order of the page."""
    tables = [
        findings.headline_table(outcome),
        findings.scheme_table(outcome),
        findings.leak_table(outcome),
        findings.training_table(outcome),
        strategy_tables.channel_table(outcome),
        strategy_tables.strategy_table(outcome),
        strategy_tables.patient_table(outcome),
        search_summaries.search_table(outcome),
        search_summaries.agreement_table(outcome),
        search_summaries.stability_table(outcome),
        *([robustness.recovery_table(outcome)] if outcome.is_phantom else []),
        *comparison.comparison_tables(outcome),
        contradictions.contradiction_table(),
        contradictions.bound_table(),
        deviations.deviation_table(outcome),
        findings.accounting_table(outcome),
        findings.refused_table(outcome),
        *robustness.gate_tables(outcome),
    ]
    return {table.name: table for table in tables}


def compose(outcome: Outcome, tables: Mapping[str, Table], pictures: Sequence[Picture]) -> Page:
    """Put tables and figures in order, between the answer and the way back to the images."""

    def section(anchor: str, title: str, *blocks: Block | Sequence[Block]) -> Section:
        flat = [part for one in blocks for part in (one if isinstance(one, Sequence) else [one])]
        return Section(anchor=anchor, title=title, blocks=flat)

    known = [section("known", "The known answer", table_blocks(tables, ["recovery"]))]
    sections = [
        section("classifiers", "What the classifiers tell", table_blocks(tables, _OURS)),
        section("strategies", "What the perturbations say", table_blocks(tables, _THERAPY)),
        *(known if outcome.is_phantom else []),
        section("paper", "The paper's tables beside ours", table_blocks(tables, _PAPER)),
        section(
            "contradictions",
            "Contradictions and deviations",
            table_blocks(tables, _AGAINST),
            table_blocks(tables, ["deviations"]),
        ),
        section("figures", "Figures", list(pictures)),
        section(
            "stability",
            "Does the strategy hold?",
            table_blocks(tables, ["agreements"]),
            Bullets(statements.of_validity(outcome)),
        ),
        section("search", "What the search depends on", Bullets(statements.of_search(outcome))),
        section("counted", "What was left out", table_blocks(tables, ["accounting", "refused"])),
        section(
            "gate",
            "Was the data fit to train on?",
            Paragraph(
                verdict_words(outcome.evidence, outcome.token, also="patches and the probes")
            ),
            Paragraph(
                "The pool of prototypes needs the models: the search itself refuses an empty one "
                "and warns below 30."
            ),
            table_blocks(tables, _GATE),
        ),
        trace_section(
            wording.TRACE, beside="tables/stability.csv has the medians of every variant."
        ),
        section("words", "How to read the numbers", Bullets(_READING_HELP)),
    ]
    return Page(
        title="Which molecules bring T cells into a tumour? Counterfactuals of patch classifiers",
        subtitle=wording.subtitle(outcome),
        notice=wording.NOTICE if outcome.is_phantom else "",
        answer=wording.answer(outcome),
        tiles=wording.key_numbers(outcome),
        sections=sections,
        footer=footer("imc", outcome.token, outcome.origin),
    )
