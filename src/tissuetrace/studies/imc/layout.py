"""The order of the report's page: answer, tables with their figures, the gate, the way back."""

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
    claims,
    comparison,
    contradictions,
    deviations,
    findings,
    known_answer,
    patient_tables,
    robustness,
    search_summaries,
    statements,
    strategy_tables,
    trainings,
    wording,
)
from tissuetrace.studies.imc.cohorts import FEW_PROTOTYPES
from tissuetrace.studies.imc.outcome import Outcome

__all__ = ["all_tables", "compose"]

# What stands in a section, in order: names of tables, and beginnings of the names of figures.
_KNOWN = ("known_answer", "recovery")
_OURS = ("headline", "splits", "figure_3a", "figure_3b", "leaks", "trainings")
_THERAPY = (
    "strategy_channels",
    "figure_4a",
    "strategies",
    "figure_4d",
    "excluded_patients",
    "figure_4c",
    "figure_4b",
    "searches",
)
_HOLDS = ("agreements", "stability", "figure_4e")
_PAPER = ("table_1_classifiers", "table_2_search", "table_3_classifiers", "claims")
_AGAINST = ("contradictions", "published_arithmetic", "deviations")
_COUNTED = ("accounting", "refused")
_GATE = ("gate_rules", "gate_counts")
_PLACED = (_KNOWN, _OURS, _THERAPY, _HOLDS, _PAPER, _AGAINST, _COUNTED, _GATE)
# too long for the page: in its file alone
_FILED = {"stability"}


def all_tables(outcome: Outcome) -> dict[str, Table]:
    """Return every table of the report by name, in the order of the page."""
    known = [known_answer.known_table(outcome), robustness.recovery_table(outcome)]
    tables = [
        *(known if outcome.is_phantom else []),
        findings.headline_table(outcome),
        findings.scheme_table(outcome),
        findings.leak_table(outcome),
        trainings.training_table(outcome),
        strategy_tables.channel_table(outcome),
        strategy_tables.strategy_table(outcome),
        patient_tables.patient_table(outcome),
        search_summaries.search_table(outcome),
        search_summaries.agreement_table(outcome),
        search_summaries.stability_table(outcome),
        *comparison.comparison_tables(outcome),
        claims.claim_table(outcome),
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

    def placed(names: Sequence[str]) -> list[Block]:
        return [block for name in names for block in _blocks(name, tables, pictures)]

    unplaced = [picture for picture in pictures if not _is_placed(picture)]
    further: list[Block] = [*unplaced]
    return Page(
        title="Which molecules bring T cells into a tumour? Counterfactuals of patch classifiers",
        subtitle=wording.subtitle(outcome),
        notice=wording.NOTICE if outcome.is_phantom else "",
        answer=wording.answer(outcome),
        tiles=wording.key_numbers(outcome),
        sections=[
            *([section("known", "The known answer", placed(_KNOWN))] if outcome.is_phantom else []),
            section("words", "How to read the numbers", Bullets(wording.reading_help(outcome))),
            section("classifiers", "What the classifiers tell", placed(_OURS)),
            section("strategies", "What the perturbations say", placed(_THERAPY)),
            section(
                "stability",
                "Does the strategy hold?",
                Paragraph(statements.of_holding(outcome)),
                placed(_HOLDS),
                Bullets(statements.of_validity(outcome)),
            ),
            section("search", "What the search depends on", Bullets(statements.of_search(outcome))),
            section("paper", "The paper's tables beside ours", placed(_PAPER)),
            section("contradictions", "Contradictions and deviations", placed(_AGAINST)),
            *([section("figures", "Further figures", further)] if further else []),
            section("counted", "What was left out", placed(_COUNTED)),
            section(
                "gate",
                "Was the data fit to train on?",
                Paragraph(
                    verdict_words(outcome.evidence, outcome.token, also="patches and the probes")
                ),
                Paragraph(
                    "The pool of prototypes needs the models: the search itself refuses an empty "
                    f"one of the MLP and warns below {FEW_PROTOTYPES}."
                ),
                placed(_GATE),
            ),
            trace_section(
                wording.trace(next(iter(outcome.cohorts))),
                beside="tables/stability.csv has the medians of every variant.",
            ),
        ],
        footer=footer("imc", outcome.token, outcome.origin),
    )


def _blocks(name: str, tables: Mapping[str, Table], pictures: Sequence[Picture]) -> list[Block]:
    """Return the table of a name, then the figures whose names begin with it."""
    table = [] if name in _FILED else table_blocks(tables, [name])
    return [*table, *(picture for picture in pictures if picture.file.stem.startswith(name))]


def _is_placed(picture: Picture) -> bool:
    return any(picture.file.stem.startswith(name) for part in _PLACED for name in part)
