"""Hold images, splits and features against the suite; write evidence and a pass token."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tissuetrace.pipeline.files import read_json, read_table, write_json
from tissuetrace.pipeline.gate import Finding, code_sha256, seal
from tissuetrace.pipeline.stage import exact, stage
from tissuetrace.studies.leukemia.ingest import Ingest

__all__ = ["validate"]


@stage(
    reads={
        "images": "data/leukemia/fetch/images",
        "source": "data/leukemia/fetch/source.json",
        "table": "data/leukemia/ingest/table.parquet",
        "prelim": "data/leukemia/ingest/prelim.json",
        "groups": "data/leukemia/split/groups.parquet",
        "splits": "data/leukemia/split/splits.parquet",
        "pairs": "data/leukemia/split/pairs.parquet",
        "features": "data/leukemia/featurize/features.parquet",
        "features_other": "data/leukemia/featurize/features_other.parquet",
    },
    writes={
        "evidence": exact(
            "data/leukemia/validate/evidence.json",
            "every rule with what was found and what is allowed, and counts; no value of a patient",
        ),
        "token": exact(
            "data/leukemia/validate/token.json",
            "binds data, suite, code and verdict; training compares it with what it reads",
        ),
    },
    params={"ingest": Ingest},
)
def validate(  # noqa: PLR0913  # the arguments are those of the declaration
    *,
    images: Path,
    source: Path,
    table: Path,
    prelim: Path,
    groups: Path,
    splits: Path,
    pairs: Path,
    features: Path,
    features_other: Path,
    evidence: Path,
    token: Path,
    ingest: Ingest,
) -> None:
    """Write evidence and verdict; a refusal is spoken by `admit`, so that this stays on record."""
    from tissuetrace.pipeline.expectations import check_rules
    from tissuetrace.studies.leukemia.evidence import bad_bitmaps, gather
    from tissuetrace.studies.leukemia.gates import SUITE

    read = {
        "table": table,
        "groups": groups,
        "splits": splits,
        "pairs": pairs,
        "features": features,
        "features_other": features_other,
    }
    tables = {name: read_table(path) for name, path in read.items()}
    size_px = read_json(source)["facts"].get("frame_px", ingest.frame_px)
    early = read_json(prelim)
    gathered = gather(
        tables,
        preliminary={key: count for key, count in early.items() if key != "absent"},
        bitmaps_wrong=bad_bitmaps(images, tables["table"]["path"].tolist(), size_px=size_px),
    )
    findings = check_rules(SUITE, gathered.tables())
    code = code_sha256("tissuetrace.studies.leukemia.validate", Path())
    sealed = seal(findings, sorted([images, *read.values()]), SUITE, code)
    record = {"findings": [asdict(finding) for finding in findings], "counts": gathered.counts}
    write_json(record, evidence)
    write_json(sealed, token)
    _tell(sealed["verdict"], findings, gathered.counts)


def _tell(verdict: str, findings: list[Finding], counts: dict[str, Any]) -> None:
    broken = [finding for finding in findings if not finding.held]
    refusals = sum(finding.severity == "critical" for finding in broken)
    sys.stderr.write(
        f"leukemia.validate: {verdict}, {refusals} refusals, {len(broken) - refusals} warnings; "
        f"{counts['exact_pairs']} exact pairs "
        f"({counts['exact_pairs_across_subjects']} across names), "
        f"{counts['near_pairs']} near pairs "
        f"({counts['near_pairs_across_subjects']} across names), "
        f"{counts['groups']} groups from {counts['subjects']} names\n"
    )
