"""The pass token: it binds data, suite, code and verdict of a gate, and is checked again later.

`validate` seals a token over everything that a training stage of the lane reads, `admit` lets it
through or refuses, and every training stage compares the token with what it is about to read.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tissuetrace.pipeline.checksums import read_checksums
from tissuetrace.pipeline.code import code_of
from tissuetrace.pipeline.errors import GateRefused
from tissuetrace.pipeline.files import read_json, write_json
from tissuetrace.pipeline.hashing import digest, sha256_of_bytes

__all__ = [
    "Finding",
    "Rule",
    "Severity",
    "admit_token",
    "code_sha256",
    "recheck",
    "seal",
    "token_mistakes",
]

TOKEN_KEYS = {
    "code_sha256",
    "inputs",
    "severity_policy",
    "suite_sha256",
    "token",
    "verdict",
}
Severity = Literal["critical", "warning"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule of a suite, as plain data.

    Args:
        name: the rule in words; it must hold.
        table: which of the tables that `validate` makes.
        expectation: name of a Great Expectations class, such as `ExpectColumnValuesToBeBetween`.
        arguments: of that class; no value that may identify a patient.
        severity: `critical` refuses, `warning` is written down.
        todo: what to do when it does not hold.
    """

    name: str
    table: str
    expectation: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    severity: Severity = "critical"
    todo: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one rule found: counts and bounds, never a raw value of a patient.

    Args:
        rule: name of the rule.
        severity: of the rule.
        held: whether it holds.
        found: what was counted.
        bound: what is allowed.
        todo: what to do when it does not hold.
    """

    rule: str
    severity: Severity
    held: bool
    found: str
    bound: str
    todo: str


def seal(
    findings: Sequence[Finding], inputs: Sequence[Path], suite: Sequence[Rule], code: str
) -> dict[str, Any]:
    """Make the token of a gate.

    Args:
        findings: one for each rule.
        inputs: every path that a training stage of the lane reads before the gate.
        suite: the rules.
        code: SHA-256 of the gate's own code, from `code_sha256`.

    Returns:
        `inputs`, `suite_sha256`, `severity_policy`, `verdict`, `code_sha256`, and `token`, the
        SHA-256 of all the others.
    """
    digests = {str(path): digest(path) for path in inputs}
    refused = any(not finding.held and finding.severity == "critical" for finding in findings)
    content = {
        "inputs": {
            path: {"md5": found.md5, "sha256": found.sha256} for path, found in digests.items()
        },
        "suite_sha256": _sha256_of([_rule_as_data(rule) for rule in suite]),
        "severity_policy": "critical refuses, warning is recorded",
        "verdict": "fail" if refused else "pass",
        "code_sha256": code,
    }
    return {**content, "token": _sha256_of(content)}


def code_sha256(module: str, root: Path) -> str:
    """Return the SHA-256 of a gate's module and everything of ours that it imports."""
    files = code_of(module, root)
    return _sha256_of({name: digest(root / name).sha256 for name in files})


def admit_token(token: Path, evidence: Path, admission: Path) -> None:
    """Let a token with the verdict "pass" through: the admission is the token itself.

    Raises:
        GateRefused: the token says "fail", or was changed; the message names each rule that did
            not hold, what was found, the bound, and where the evidence lies.
    """
    content = read_json(token)
    mistakes = token_mistakes(content)
    if mistakes:
        raise GateRefused(
            mistakes[0], where=str(token), todo="Run the gate again: tissuetrace repro"
        )
    if content["verdict"] != "pass":
        broken = [
            finding
            for finding in read_json(evidence)["findings"]
            if finding["severity"] == "critical" and not finding["held"]
        ]
        raise GateRefused(
            f"{len(broken)} critical rule{'s' * (len(broken) != 1)} broken",
            where="gate",
            todo=f"The evidence is in {evidence}",
            items=[
                f"{finding['rule']}: found {finding['found']}, allowed {finding['bound']}. "
                f"{finding['todo']}"
                for finding in broken
            ],
        )
    write_json(content, admission)


def token_mistakes(content: Any) -> list[str]:  # noqa: ANN401  # whatever JSON the file holds
    """Say whether a token has the form of one, and whether its own hash fits its content."""
    if not isinstance(content, dict) or not content.keys() >= TOKEN_KEYS:
        return ["this is no token"]
    bound = {key: value for key, value in content.items() if key != "token"}
    return [] if content["token"] == _sha256_of(bound) else ["the token was changed by hand"]


def recheck(study: str, stage: str, reads: Sequence[Path], admission: Path) -> None:
    """Hash again what a training stage is about to read, and compare it with what is known.

    What the gate has seen is compared with the admission, what was made after it (another model's
    output) with the checksums in git.

    Args:
        study: the lane.
        stage: `study.stage`, for the message.
        reads: every path that it reads.
        admission: what `admit` wrote.

    Raises:
        GateRefused: the admission was changed, or does not fit the data.
    """
    content = read_json(admission)
    mistakes = token_mistakes(content)
    if not mistakes and content["verdict"] != "pass":
        mistakes = ["the verdict is not a pass"]
    if not mistakes:
        mistakes = _data_mistakes(study, reads, content["inputs"])
    if mistakes:
        raise GateRefused(
            "; ".join(mistakes),
            where=stage,
            todo=f"Nothing was trained. Run tissuetrace repro {study}",
        )


def _data_mistakes(study: str, reads: Sequence[Path], seen: Mapping[str, Any]) -> list[str]:
    recorded = read_checksums(study, Path())
    mistakes = []
    for path in reads:
        name = str(path)
        if name in seen and digest(path).sha256 != seen[name]["sha256"]:
            mistakes.append(f"{name} is not what the gate has seen")
        elif name in recorded and digest(path).sha256 != recorded[name].sha256:
            mistakes.append(f"{name} is not what {recorded[name].stage} has written")
    return mistakes


def _rule_as_data(rule: Rule) -> dict[str, Any]:
    return {
        "name": rule.name,
        "table": rule.table,
        "expectation": rule.expectation,
        "arguments": dict(rule.arguments),
        "severity": rule.severity,
    }


def _sha256_of(content: object) -> str:
    return sha256_of_bytes(json.dumps(content, sort_keys=True).encode())
