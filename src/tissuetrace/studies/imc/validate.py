"""Hold every cohort's channels, patches and splits against the suite; write a pass token."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from tissuetrace.pipeline.files import write_json
from tissuetrace.pipeline.gate import Finding, code_sha256, seal
from tissuetrace.pipeline.stage import each, exact, stage
from tissuetrace.studies.imc.cohorts import Cohort

__all__ = ["SEALED", "validate"]

# What training reads, and the probe whose bounds it must have kept.
SEALED = (
    "tables",
    "pixels",
    "patient",
    "random",
    "decoy_patient",
    "decoy_random",
    "leaks",
)


@stage(
    reads={
        "images": each("data/imc/ingest/{cohorts}/images.parquet"),
        "channels": each("data/imc/ingest/{cohorts}/images"),
        "tables": each("data/imc/patch/{cohorts}/tables"),
        "pixels": each("data/imc/patch/{cohorts}/pixels"),
        "cores": each("data/imc/patch/{cohorts}/cores.parquet"),
        "patient": each("data/imc/split/{cohorts}/patient.parquet"),
        "random": each("data/imc/split/{cohorts}/random.parquet"),
        "redraws": each("data/imc/split/{cohorts}/redraws.parquet"),
        "decoy_patient": each("data/imc/decoy/{cohorts}/patient.parquet"),
        "decoy_random": each("data/imc/decoy/{cohorts}/random.parquet"),
        "leaks": each("metrics/imc/leak_{cohorts}.json"),
    },
    writes={
        "evidence": exact(
            "data/imc/validate/evidence.json",
            "every rule with what was found and what is allowed, and counts; no value of a patient",
        ),
        "token": exact(
            "data/imc/validate/token.json",
            "binds data, suite, code and verdict; training compares it with what it reads",
        ),
    },
    params={"cohorts": dict[str, Cohort]},
)
def validate(  # noqa: PLR0913  # the arguments are those of the declaration
    *,
    images: dict[str, Path],
    channels: dict[str, Path],
    tables: dict[str, Path],
    pixels: dict[str, Path],
    cores: dict[str, Path],
    patient: dict[str, Path],
    random: dict[str, Path],
    redraws: dict[str, Path],
    decoy_patient: dict[str, Path],
    decoy_random: dict[str, Path],
    leaks: dict[str, Path],
    evidence: Path,
    token: Path,
    cohorts: dict[str, Cohort],
) -> None:
    """Write evidence and verdict; a refusal is spoken by `admit`, so that this stays on record."""
    from tissuetrace.pipeline.expectations import check_rules
    from tissuetrace.studies.imc.cohort_tables import CohortFiles, read_cohort
    from tissuetrace.studies.imc.evidence import gather
    from tissuetrace.studies.imc.gates import suite

    read = {
        "images": images,
        "channels": channels,
        "tables": tables,
        "pixels": pixels,
        "cores": cores,
        "patient": patient,
        "random": random,
        "redraws": redraws,
        "decoy_patient": decoy_patient,
        "decoy_random": decoy_random,
        "leaks": leaks,
    }
    gathered = {}
    for name, cohort in cohorts.items():
        files = CohortFiles(**{argument: paths[name] for argument, paths in read.items()})
        gathered[name] = gather(read_cohort(files, control=cohort.control), cohort)
    rules = suite({name: cohort.control for name, cohort in cohorts.items()})
    shown = [found.tables(name) for name, found in gathered.items()]
    findings = check_rules(rules, {key: table for own in shown for key, table in own.items()})
    inputs = sorted(path for argument in SEALED for path in read[argument].values())
    code = code_sha256("tissuetrace.studies.imc.validate", Path())
    sealed = seal(findings, inputs, rules, code)
    counts = {name: found.counts for name, found in gathered.items()}
    write_json({"findings": [asdict(finding) for finding in findings], "counts": counts}, evidence)
    write_json(sealed, token)
    _tell(sealed["verdict"], findings, counts)


def _tell(
    verdict: str, findings: Sequence[Finding], counts: Mapping[str, Mapping[str, int]]
) -> None:
    broken = [finding for finding in findings if not finding.held]
    refusals = sum(finding.severity == "critical" for finding in broken)
    cohorts = "; ".join(
        f"{name}: {found['positive_patches']} of {found['patches']} patches positive, "
        f"{found['images']} images of {found['subjects']} subjects"
        for name, found in counts.items()
    )
    sys.stderr.write(
        f"imc.validate: {verdict}, {refusals} refusals, {len(broken) - refusals} warnings; "
        f"{cohorts}\n"
    )
