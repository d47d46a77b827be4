"""What the phantom hides, channel by channel, and what the lane makes of it."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from tissuetrace.report.tables import Table, percent_interval, text
from tissuetrace.studies.imc.outcome import CohortOutcome, Outcome
from tissuetrace.studies.imc.truth import FOLLOWS, NULLS, SIGNS

__all__ = [
    "calls",
    "false_mark",
    "hidden_words",
    "known_table",
    "listed",
    "moved_nulls",
    "nulls_at",
]

_TRUTHS = {1: "up", -1: "down", 0: "no effect"}
_CALLS = {1: "raised", -1: "lowered", 0: "left alone"}
_ENDS = {"": "median", "_low": "low", "_high": "high"}
_NUMBERS = ("none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def calls(one: CohortOutcome) -> dict[str, int]:
    """Return what is done to each free channel: 1 raised, -1 lowered, 0 left alone."""
    return {
        str(row["channel"]): (row["median"] > 0) - (row["median"] < 0) if row["called"] else 0
        for row in one.channels.to_dict(orient="records")
    }


def known_table(outcome: Outcome) -> Table:
    """Return truth and call of every free channel of a phantom."""
    rows: list[dict[str, Any]] = []
    for one in outcome.searched:
        called = calls(one)
        for row in one.channels.to_dict(orient="records"):
            channel = str(row["channel"])
            found = called[channel]
            told = {"cohort": one.name, "channel": channel, "truth": _truth(channel)}
            told |= {f"change{end}": row[key] for end, key in _ENDS.items()}
            rows.append(told | {"found": _CALLS[found], "verdict": _verdict(channel, found)})
    columns = ["cohort", "channel", "truth", "change", "change_low", "change_high", "found"]
    return Table(
        name="known_answer",
        title="Channel by channel: what the phantom hides and what was found",
        caption=(
            "Truth: up brings T cells where there is more of it, down keeps them away; follows: no "
            "effect of its own, but the field of the phantom that draws it is mixed with that of "
            "the other channel. Relative change: median over retrainings, in brackets its 95 % "
            "interval from resampling patients. Raised or lowered: called and applied. "
            f"{outcome.counted()} {outcome.note}"
        ),
        frame=pd.DataFrame(rows, columns=[*columns, "verdict"]),
        columns=(
            text("cohort", "cohort"),
            text("channel", "channel"),
            text("truth", "truth"),
            percent_interval("change", "relative change (%)"),
            text("found", "found"),
            text("verdict", "right or wrong"),
        ),
    )


def hidden_words(outcome: Outcome) -> str:
    """Say what the phantom hides and how much of it each cohort's strategy has found."""
    up, down = ([name for name, sign in SIGNS.items() if sign == way] for way in (1, -1))
    sides = [f"{listed(names)} {way}" for names, way in ((up, "up"), (down, "down")) if names]
    told = [_told(one) for one in outcome.cohorts.values()]
    return (
        f"The generator hides {_number(len(SIGNS))} causal chemokines ({'; '.join(sides)}). "
        f"{' '.join(told)}"
    )


def false_mark(channel: str, sign: int) -> str:
    """Return what is wrong with a call, for a phantom; empty where it is right or none.

    Args:
        channel: that is called.
        sign: 1 raised, -1 lowered, 0 left alone.
    """
    truth = SIGNS.get(channel, 0)
    if sign in {0, truth}:
        return ""
    if truth:
        return "wrong sign"
    return f"false: follows {FOLLOWS[channel]}" if channel in FOLLOWS else "false: no effect"


def moved_nulls(one: CohortOutcome) -> list[str]:
    """Name the channels without effect whose median change is not 0, with that change."""
    rows = one.channels[one.channels["channel"].isin(NULLS) & (one.channels["median"].abs() > 0)]
    return [
        f"{row['channel']} {100 * row['median']:+.1f} %".replace("-", "−")  # noqa: RUF001  # as wide as the plus
        for row in rows.to_dict(orient="records")
    ]


def nulls_at(one: CohortOutcome, *, below: float) -> list[str]:
    """Name the channels without effect whose p after Holm is below a level."""
    rows = one.channels[one.channels["channel"].isin(NULLS) & (one.channels["p_holm"] < below)]
    return [
        f"{name} (follows {FOLLOWS[name]})" if name in FOLLOWS else name
        for name in rows["channel"].astype(str)
    ]


def listed(names: Sequence[str]) -> str:
    """Join names by commas and "and"."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _told(one: CohortOutcome) -> str:
    name = one.name.capitalize()
    if one.why_no_search:
        return f"{name}: nothing was searched."
    called = calls(one)
    found = [channel for channel, sign in SIGNS.items() if called.get(channel) == sign]
    false = {channel: false_mark(channel, sign) for channel, sign in called.items()}
    false = {channel: mark for channel, mark in false.items() if mark}
    lost = [
        f"{channel} {'was left alone' if channel in called else 'is not free'}"
        for channel in SIGNS
        if channel not in found and channel not in false
    ]
    if len(found) == len(SIGNS):
        right = f"all {_number(len(SIGNS))} found"
    else:
        why = f" ({', '.join(lost)})" if lost else ""
        right = f"{_number(len(found))} of the {_number(len(SIGNS))} found{why}"
    return f"{name}: {right} and {_false(false)}."


def _false(marks: dict[str, str]) -> str:
    if not marks:
        return "none false"
    said = [f"{channel}, {_because(mark)}" for channel, mark in marks.items()]
    return f"{_number(len(marks))} false: {'; '.join(said)}"


def _because(mark: str) -> str:
    kind, _, why = mark.partition(": ")
    if kind == "wrong sign":
        return "with the wrong sign"
    return "which has no effect" if why == "no effect" else f"which has no effect and {why}"


def _truth(channel: str) -> str:
    if channel in FOLLOWS:
        return f"{_TRUTHS[0]}, follows {FOLLOWS[channel]}"
    return _TRUTHS[SIGNS.get(channel, 0)]


def _verdict(channel: str, found: int) -> str:
    mark = false_mark(channel, found)
    if mark:
        return f"WRONG, {mark.partition(':')[0]}"
    return "WRONG, missed" if found != SIGNS.get(channel, 0) else "right"


def _number(count: int) -> str:
    return _NUMBERS[count] if count < len(_NUMBERS) else str(count)
