"""Tell what was found, beside what the paper says: one page, its figures and its tables."""

from pathlib import Path
from typing import TYPE_CHECKING

from tissuetrace.pipeline.files import read_json, write_json
from tissuetrace.pipeline.passed import require_pass
from tissuetrace.pipeline.stage import each, metrics, stage, tolerance
from tissuetrace.studies.imc.cohorts import Cohort
from tissuetrace.studies.imc.decoy import Decoy
from tissuetrace.studies.imc.effect import Effect
from tissuetrace.studies.imc.evaluate import Evaluate
from tissuetrace.studies.imc.ingest import Ingest
from tissuetrace.studies.imc.patch import Patch
from tissuetrace.studies.imc.perturb import Perturb
from tissuetrace.studies.imc.split import Split
from tissuetrace.studies.imc.train_cnn import Cnn
from tissuetrace.studies.imc.train_mlp import Mlp

if TYPE_CHECKING:
    from tissuetrace.studies.imc.outcome import Outcome

__all__ = ["report"]

_COHORT = "{cohorts}"


@stage(
    reads={
        "origin": "data/imc/fetch/source.json",
        "images": each(f"data/imc/ingest/{_COHORT}/images.parquet"),
        "refused": each(f"data/imc/ingest/{_COHORT}/refused.parquet"),
        "cores": each(f"data/imc/patch/{_COHORT}/cores.parquet"),
        "patches": each(f"data/imc/patch/{_COHORT}/tables"),
        "redraws": each(f"data/imc/split/{_COHORT}/redraws.parquet"),
        "dropped": each(f"data/imc/decoy/{_COHORT}/dropped.parquet"),
        "leaks": each(f"data/imc/probe/{_COHORT}/leaks.parquet"),
        "leak": each(f"metrics/imc/leak_{_COHORT}.json"),
        "evidence": "data/imc/validate/evidence.json",
        "token": "data/imc/validate/token.json",
        "mlp_patient": each(f"data/imc/train/{_COHORT}/mlp/patient"),
        "mlp_random": each(f"data/imc/train/{_COHORT}/mlp/random"),
        "cnn_patient": each(f"data/imc/train/{_COHORT}/cnn/patient"),
        "cnn_random": each(f"data/imc/train/{_COHORT}/cnn/random"),
        "predictions": each(f"data/imc/evaluate/{_COHORT}/predictions.parquet"),
        "scores": each(f"data/imc/evaluate/{_COHORT}/scores.parquet"),
        "shares": each(f"data/imc/evaluate/{_COHORT}/cores.parquet"),
        "counterfactuals": each(f"data/imc/perturb/{_COHORT}/counterfactuals.parquet"),
        "pool": each(f"data/imc/perturb/{_COHORT}/pool.parquet"),
        "strategy": each(f"data/imc/effect/{_COHORT}/strategy.json"),
        "levels": each(f"data/imc/effect/{_COHORT}/levels.parquet"),
        "channels": each(f"data/imc/effect/{_COHORT}/channels.parquet"),
        "strategies": each(f"data/imc/effect/{_COHORT}/strategies.parquet"),
        "stability": each(f"data/imc/effect/{_COHORT}/stability.parquet"),
        "maps": each(f"data/imc/effect/{_COHORT}/maps.parquet"),
        "recovered": each(f"metrics/imc/recover_{_COHORT}.json"),
    },
    writes={
        "pages": tolerance(
            "reports/imc",
            "index.html (self-contained), figures/*.png, tables/*.csv",
            within=1e-2,
        ),
        "headline": metrics(
            "metrics/imc/headline.json",
            "Seven numbers a cohort: classifier, leak, search and effect; null where undefined",
            within=1e-2,
        ),
    },
    params={
        "cohorts": dict[str, Cohort],
        "ingest": Ingest,
        "patch": Patch,
        "split": Split,
        "decoy": Decoy,
        "mlp": Mlp,
        "cnn": Cnn,
        "evaluate": Evaluate,
        "perturb": Perturb,
        "effect": Effect,
    },
)
def report(  # noqa: PLR0913  # every input and output of the declaration
    *,
    origin: Path,
    images: dict[str, Path],
    refused: dict[str, Path],
    cores: dict[str, Path],
    patches: dict[str, Path],
    redraws: dict[str, Path],
    dropped: dict[str, Path],
    leaks: dict[str, Path],
    leak: dict[str, Path],
    evidence: Path,
    token: Path,
    mlp_patient: dict[str, Path],
    mlp_random: dict[str, Path],
    cnn_patient: dict[str, Path],
    cnn_random: dict[str, Path],
    predictions: dict[str, Path],
    scores: dict[str, Path],
    shares: dict[str, Path],
    counterfactuals: dict[str, Path],
    pool: dict[str, Path],
    strategy: dict[str, Path],
    levels: dict[str, Path],
    channels: dict[str, Path],
    strategies: dict[str, Path],
    stability: dict[str, Path],
    maps: dict[str, Path],
    recovered: dict[str, Path],
    pages: Path,
    headline: Path,
    cohorts: dict[str, Cohort],
    ingest: Ingest,
    patch: Patch,
    split: Split,
    decoy: Decoy,
    mlp: Mlp,
    cnn: Cnn,
    evaluate: Evaluate,
    perturb: Perturb,
    effect: Effect,
) -> None:
    """Check the lane's token, then write page, figures, tables and the headline numbers.

    Raises:
        GateRefused: the token was changed, says "fail", or does not fit what the page reads.
    """
    from tissuetrace.studies.imc.headline import headline_numbers
    from tissuetrace.studies.imc.outcome import Outcome, Settings
    from tissuetrace.studies.imc.reading import read_cohort

    sealed = read_json(token)
    require_pass(sealed, [*patches.values(), *leak.values()], study="imc")
    of_cohorts = {
        "images": images,
        "refused": refused,
        "cores": cores,
        "patches": patches,
        "redraws": redraws,
        "dropped": dropped,
        "leaks": leaks,
        "leak": leak,
        "mlp_patient": mlp_patient,
        "mlp_random": mlp_random,
        "cnn_patient": cnn_patient,
        "cnn_random": cnn_random,
        "predictions": predictions,
        "scores": scores,
        "shares": shares,
        "counterfactuals": counterfactuals,
        "pool": pool,
        "strategy": strategy,
        "levels": levels,
        "channels": channels,
        "strategies": strategies,
        "stability": stability,
        "maps": maps,
        "recovered": recovered,
    }
    outcome = Outcome(
        origin=read_json(origin),
        cohorts={
            name: read_cohort(
                name, settings, {what: paths[name] for what, paths in of_cohorts.items()}
            )
            for name, settings in cohorts.items()
        },
        evidence=read_json(evidence),
        token=sealed,
        settings=Settings(
            ingest=ingest,
            patch=patch,
            split=split,
            decoy=decoy,
            mlp=mlp,
            cnn=cnn,
            evaluate=evaluate,
            perturb=perturb,
            effect=effect,
        ),
    )
    _write(outcome, pages)
    write_json(headline_numbers(outcome.cohorts), headline)


def _write(outcome: "Outcome", pages: Path) -> None:
    from tissuetrace.report.pages import render
    from tissuetrace.report.publishing import draw_figures, write_tables
    from tissuetrace.studies.imc.classifier_figures import classifier_figures
    from tissuetrace.studies.imc.layout import all_tables, compose
    from tissuetrace.studies.imc.therapy_figures import therapy_figures

    tables = all_tables(outcome)
    drawn = [*classifier_figures(outcome), *therapy_figures(outcome)]
    page = compose(
        outcome, tables, draw_figures(drawn, pages / "figures", note=outcome.figure_note)
    )
    write_tables(list(tables.values()), pages / "tables", origin=outcome.origin_in_words)
    (pages / "index.html").write_text(render(page), encoding="utf-8")
