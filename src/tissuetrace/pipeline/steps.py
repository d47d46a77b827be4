"""What DVC runs, one step a stage and variant, and which steps wait for which."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tissuetrace.pipeline.execute import expand, read_paths, variants
from tissuetrace.pipeline.stage import Stage

__all__ = ["Step", "next_branch", "steps_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One stage, for one variant.

    Args:
        name: as DVC has it, `study-stage@variant`.
        branch: what it belongs to, `study@variant`, or `study` where the stage has no variants.
        after: names of the steps whose outputs it reads.
    """

    name: str
    branch: str
    after: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Place:
    name: str
    branch: str
    reads: Sequence[Path]
    writes: Sequence[Path]


def steps_of(stages: Sequence[Stage], content: Mapping[str, Any]) -> list[Step]:
    """Return every step, in an order in which they can run.

    Args:
        stages: in the order in which they run.
        content: plain values of `params.yaml`, for the variants of each matrix.
    """
    places = [place for stage in stages for place in _places(stage, content)]
    return [
        Step(
            name=place.name,
            branch=place.branch,
            after=frozenset(
                other.name for other in places if other is not place and _feeds(other, place)
            ),
        )
        for place in places
    ]


def _places(stage: Stage, content: Mapping[str, Any]) -> Iterator[_Place]:
    for variant in [None] if stage.matrix is None else variants(stage, content):
        suffix = "" if variant is None else f"@{variant}"
        yield _Place(
            name=stage.dvc_name + suffix,
            branch=stage.study + suffix,
            reads=read_paths(stage, variant, content),
            writes=[Path(expand(out.path, stage, variant)) for out in stage.writes.values()],
        )


def _feeds(first: _Place, then: _Place) -> bool:
    return any(
        read.is_relative_to(write) or write.is_relative_to(read)
        for read in then.reads
        for write in first.writes
    )


def next_branch(waiting: Sequence[Step], done: Collection[str]) -> list[Step]:
    """Return the steps that one process can run now, one after the other.

    The first step that waits for nothing, and what can follow it without a step of another branch.

    Args:
        waiting: steps that have not been started, in an order in which they can run.
        done: names of the steps that have finished.

    Returns:
        The steps, none where each still waits for one that is running.
    """
    taken: list[Step] = []
    ready = set(done)
    for step in waiting:
        if step.after <= ready and (not taken or step.branch == taken[0].branch):
            taken.append(step)
            ready.add(step.name)
    return taken
