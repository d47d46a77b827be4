"""Check that no number is negative."""

from dataclasses import asdict
from pathlib import Path

from tissuetrace.pipeline.gate import Rule
from tissuetrace.pipeline.stage import exact, stage

SUITE = (
    Rule(
        name="numbers are not negative",
        table="numbers",
        expectation="ExpectColumnValuesToBeBetween",
        arguments={"column": "x", "min_value": 0},
        todo="Raise toy.draw.low",
    ),
)


@stage(
    reads={"table": "data/toy/draw/table.parquet", "copies": "data/toy/draw/copies"},
    writes={
        "evidence": exact("data/toy/validate/evidence.json", "what was found"),
        "token": exact("data/toy/validate/token.json", "the pass token"),
    },
)
def validate(*, table: Path, copies: Path, evidence: Path, token: Path) -> None:
    """Write evidence and token, whatever the verdict."""
    from tissuetrace.pipeline.expectations import check_rules
    from tissuetrace.pipeline.files import read_table, write_json
    from tissuetrace.pipeline.gate import code_sha256, seal

    findings = check_rules(SUITE, {"numbers": read_table(table)})
    write_json({"findings": [asdict(finding) for finding in findings]}, evidence)
    code = code_sha256("tissuetrace.studies.toy.validate", Path())
    write_json(seal(findings, [table, copies], SUITE, code), token)
