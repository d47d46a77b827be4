"""Tell what was found, beside what the paper says: one page, its figures and its tables."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tissuetrace.pipeline.files import read_json, read_table
from tissuetrace.pipeline.passed import require_pass
from tissuetrace.pipeline.stage import stage, tolerance
from tissuetrace.studies.leukemia.evaluate import Evaluate
from tissuetrace.studies.leukemia.featurize import Featurize
from tissuetrace.studies.leukemia.split import Split
from tissuetrace.studies.leukemia.train_cnn import Cnn
from tissuetrace.studies.leukemia.train_forest import Forest
from tissuetrace.studies.leukemia.train_hybrid import Hybrid

if TYPE_CHECKING:
    from tissuetrace.studies.leukemia.outcome import Outcome

__all__ = ["report"]

EVALUATE = "data/leukemia/evaluate"


@stage(
    reads={
        "scores": f"{EVALUATE}/scores.parquet",
        "predictions": f"{EVALUATE}/predictions.parquet",
        "subjects": f"{EVALUATE}/subjects.parquet",
        "recovered": f"{EVALUATE}/recovery.parquet",
        "roc": f"{EVALUATE}/roc.csv",
        "precision_recall": f"{EVALUATE}/precision_recall.csv",
        "calibration": f"{EVALUATE}/calibration.csv",
        "referral": f"{EVALUATE}/referral.csv",
        "importances": "data/leukemia/explain/importances.parquet",
        "correlations": "data/leukemia/explain/correlations.parquet",
        "evidence": "data/leukemia/validate/evidence.json",
        "token": "data/leukemia/validate/token.json",
        "origin": "data/leukemia/fetch/source.json",
        "images": "data/leukemia/fetch/images",
        "table": "data/leukemia/ingest/table.parquet",
    },
    writes={
        "pages": tolerance(
            "reports/leukemia",
            "index.html (self-contained), figures/*.png, tables/*.csv",
            within=1e-3,
        ),
    },
    params={
        "evaluate": Evaluate,
        "featurize": Featurize,
        "forest": Forest,
        "cnn": Cnn,
        "hybrid": Hybrid,
        "split": Split,
    },
)
def report(  # noqa: PLR0913  # every input and output of the declaration
    *,
    scores: Path,
    predictions: Path,
    subjects: Path,
    recovered: Path,
    roc: Path,
    precision_recall: Path,
    calibration: Path,
    referral: Path,
    importances: Path,
    correlations: Path,
    evidence: Path,
    token: Path,
    origin: Path,
    images: Path,
    table: Path,
    pages: Path,
    evaluate: Evaluate,
    featurize: Featurize,
    forest: Forest,
    cnn: Cnn,
    hybrid: Hybrid,
    split: Split,
) -> None:
    """Check the lane's token, then write page, figures and tables.

    Raises:
        GateRefused: the token was changed, says "fail", or does not fit what the page reads.
    """
    import pandas as pd

    from tissuetrace.studies.leukemia.outcome import Outcome, Settings

    sealed = read_json(token)
    require_pass(sealed, [images, table], study="leukemia")
    curves = {path.stem: path for path in (roc, precision_recall, calibration, referral)}
    outcome = Outcome(
        origin=read_json(origin),
        scores=read_table(scores),
        predictions=read_table(predictions),
        subjects=read_table(subjects),
        recovered=read_table(recovered),
        curves={name: pd.read_csv(path) for name, path in curves.items()},
        importances=read_table(importances),
        correlations=read_table(correlations),
        evidence=read_json(evidence),
        token=sealed,
        settings=Settings(
            evaluate=evaluate,
            featurize=featurize,
            forest=forest,
            cnn=cnn,
            hybrid=hybrid,
            split=split,
        ),
    )
    paths: dict[str, str] = dict(read_table(table, ["name", "path"]).itertuples(index=False))
    _write(outcome, pages, paths=paths, images=images)


def _write(outcome: "Outcome", pages: Path, *, paths: Mapping[str, str], images: Path) -> None:
    from tissuetrace.report.pages import render
    from tissuetrace.report.publishing import draw_figures, write_tables
    from tissuetrace.studies.leukemia.feature_figures import feature_figures
    from tissuetrace.studies.leukemia.gallery import gallery
    from tissuetrace.studies.leukemia.layout import all_tables, compose
    from tissuetrace.studies.leukemia.performance_figures import performance_figures

    tables = all_tables(outcome)
    drawn = [
        *performance_figures(outcome),
        *feature_figures(outcome),
        gallery(outcome, paths, images),
    ]
    page = compose(outcome, tables, draw_figures(drawn, pages / "figures", note=outcome.note))
    write_tables(list(tables.values()), pages / "tables", origin=outcome.origin_in_words)
    (pages / "index.html").write_text(render(page), encoding="utf-8")
