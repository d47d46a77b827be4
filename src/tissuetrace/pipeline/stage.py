"""What a stage is: one function, and one declaration of all that others know of it.

From a declaration come the entry in `dvc.yaml`, the row in `data/README.md`, the help text and
the node of the lineage.
"""

import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import GenericAlias
from typing import Any, Literal

__all__ = [
    "Each",
    "Headline",
    "Kind",
    "Needs",
    "OfVariant",
    "Output",
    "Plot",
    "Reproducibility",
    "Section",
    "Stage",
    "Study",
    "each",
    "exact",
    "metrics",
    "of_variant",
    "record",
    "stage",
    "tolerance",
]

Reproducibility = Literal["exact", "tolerance", "record"]
Kind = type | GenericAlias  # a dataclass, or dict[str, dataclass] for every variant's settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One thing that a stage writes.

    Args:
        path: from the root of the project; `{key}` stands for the value of the matrix.
        about: what it is, its axes and units, as `data/README.md` prints it.
        reproducibility: `exact` in bytes, `tolerance` in numbers, `record` not compared.
        within: largest relative difference of a number, for `tolerance`.
        columns: of a table, each as `"dtype: meaning (unit)"`; checked after every run.
        records: names of files inside a folder that are records (times, hosts).
        is_metric: flat numbers, kept in git and not in the cache.
    """

    path: str
    about: str
    reproducibility: Reproducibility
    within: float = 0.0
    columns: Mapping[str, str] = field(default_factory=dict)
    records: tuple[str, ...] = ()
    is_metric: bool = False


def exact(
    path: str,
    about: str,
    *,
    columns: Mapping[str, str] | None = None,
    records: tuple[str, ...] = (),
) -> Output:
    """Declare an output whose bytes depend on commit, data and environment alone."""
    return Output(
        path=path, about=about, reproducibility="exact", columns=columns or {}, records=records
    )


def tolerance(
    path: str,
    about: str,
    *,
    within: float,
    columns: Mapping[str, str] | None = None,
    records: tuple[str, ...] = (),
) -> Output:
    """Declare an output whose numbers agree within a bound across machines and devices."""
    return Output(
        path=path,
        about=about,
        reproducibility="tolerance",
        within=within,
        columns=columns or {},
        records=records,
    )


def record(path: str, about: str) -> Output:
    """Declare an output that tells of one execution (times, hosts) and is not compared."""
    return Output(path=path, about=about, reproducibility="record")


def metrics(path: str, about: str, *, within: float) -> Output:
    """Declare a flat JSON file of numbers, kept in git, for `dvc metrics`."""
    return Output(
        path=path, about=about, reproducibility="tolerance", within=within, is_metric=True
    )


@dataclass(frozen=True, slots=True)
class Each:
    """One path for every value of a matrix key: a reader of all variants."""

    template: str


def each(template: str) -> Each:
    """Say that a stage reads the given path of every variant."""
    return Each(template)


@dataclass(frozen=True, slots=True)
class OfVariant:
    """The settings of one variant, where the matrix key is a mapping from variants to settings.

    Args:
        kind: the dataclass that the stage is given.
        whole: the dataclass of everything that is said of a variant.
    """

    kind: type
    whole: type


def of_variant(kind: type, *, of: type | None = None) -> OfVariant:
    """Say that a parameter argument is the section of the stage's own variant.

    Args:
        kind: the dataclass that the stage is given.
        of: where it is given a part: the dataclass of the whole section. A change of what the
            stage is not given does not run it again.
    """
    return OfVariant(kind, of or kind)


@dataclass(frozen=True, slots=True)
class Section:
    """Where a parameter argument comes from.

    Args:
        name: of the section below the study; `{key}` stands for the variant.
        kind: type of the argument.
        whole: type of the section, of which the argument may be a part.
    """

    name: str
    kind: Kind
    whole: Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A stage's declaration and its function; called with keywords, it runs the function."""

    function: Callable[..., None]
    study: str
    name: str
    module: str
    summary: str
    reads: Mapping[str, str | Each]
    writes: Mapping[str, Output]
    params: Mapping[str, Kind | OfVariant]
    matrix: str | None
    gate: str | None
    resumes: bool
    takes_variant: bool = False

    def __call__(self, **arguments: object) -> None:
        """Run the function, as tests do."""
        self.function(**arguments)

    @property
    def id(self) -> str:
        """The name on the command line, `study.stage`."""
        return f"{self.study}.{self.name}"

    @property
    def dvc_name(self) -> str:
        """The name in `dvc.yaml`, `study-stage`."""
        return f"{self.study}-{self.name}"

    @property
    def sections(self) -> dict[str, Section]:
        """Section of `params.yaml` of each parameter argument.

        The argument `params` is the section named as the stage; any other name is the section of
        that name, which several stages may share, or that of the variant, `key.{key}`.
        """
        own = f"{self.matrix}.{{{self.matrix}}}"
        return {
            argument: Section(own, kind.kind, kind.whole)
            if isinstance(kind, OfVariant)
            else Section(self.name if argument == "params" else argument, kind, kind)
            for argument, kind in self.params.items()
        }


def stage(
    *,
    reads: Mapping[str, str | Each],
    writes: Mapping[str, Output],
    params: type | Mapping[str, Kind | OfVariant] | None = None,
    matrix: str | None = None,
    gate: str | None = None,
    resumes: bool = False,
) -> Callable[[Callable[..., None]], Stage]:
    """Declare a function of a study's module as a stage.

    Args:
        reads: argument name → path, or `each(path)` for all variants of a matrix.
        writes: argument name → output.
        params: the frozen dataclass of the stage's own section of `params.yaml`, or argument
            name → dataclass where it reads sections that it shares with other stages, or
            `of_variant(dataclass)` for what the matrix key says of the stage's own variant.
        matrix: the parameter whose values (of a list) or keys (of a mapping) are the stage's
            variants; the function may take the name of its own as `variant`.
        gate: path of the admission that must fit what this stage reads before it trains.
        resumes: whether the function takes `resume`, a folder that outlives a kill.

    Raises:
        TypeError: the function's keywords are not those of the declaration.
    """

    def declare(function: Callable[..., None]) -> Stage:
        *_, package, name = function.__module__.split(".")
        takes_variant = matrix is not None and "variant" in inspect.signature(function).parameters
        documentation = sys.modules[function.__module__].__doc__ or ""
        declared = Stage(
            function=function,
            study=package,
            name=name,
            module=function.__module__,
            summary=documentation.partition("\n")[0].rstrip("."),
            reads=reads if gate is None else {**reads, "admission": gate},
            writes=writes,
            params=_params_by_argument(params),
            matrix=matrix,
            gate=gate,
            resumes=resumes,
            takes_variant=takes_variant,
        )
        _check_signature(declared)
        return declared

    return declare


def _params_by_argument(
    params: type | Mapping[str, Kind | OfVariant] | None,
) -> Mapping[str, Kind | OfVariant]:
    if params is None:
        return {}
    return {"params": params} if isinstance(params, type) else params


def _check_signature(declared: Stage) -> None:
    expected = {*declared.reads, *declared.writes, *declared.params}
    expected |= {"resume"} if declared.resumes else set()
    expected |= {"variant"} if declared.takes_variant else set()
    found = set(inspect.signature(declared.function).parameters)
    if found != expected:
        raise TypeError(
            f"{declared.id} takes {sorted(found)}, its declaration says {sorted(expected)}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """A top-level plot of `dvc.yaml`, drawn by `dvc plots`.

    Args:
        name: of the plot, unique in its study.
        x: column on the horizontal axis, in every file.
        y: file → columns on the vertical axis; `{key}` stands for every variant of a matrix.
        title: over the plot.
        x_label: of the horizontal axis, with its unit.
        y_label: of the vertical axis, with its unit.
        template: one of DVC's own, such as `linear`, `simple`, `confusion`.
    """

    name: str
    x: str
    y: Mapping[str, tuple[str, ...]]
    title: str
    x_label: str
    y_label: str
    template: str = "linear"


@dataclass(frozen=True, slots=True)
class Headline:
    """A number of the first screen.

    Args:
        metric: key in `metrics/<study>/headline.json`.
        words: what it is.
        published: the paper's number and the set it was taken on; empty where it gives none.
    """

    metric: str
    words: str
    published: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a study needs of a machine, estimated.

    Args:
        disk: bytes for outputs and cache.
        memory_per_worker: bytes that one process holds at most.
    """

    disk: int
    memory_per_worker: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """A lane: what it asks, where it was published, its stages in reading order.

    Args:
        title: one line for the first screen of the README.
        question: what the study asks.
        citation: authors and title of the paper.
        stages: module names under the study's folder, in the order in which they run.
        needs: estimate from the study's parameters, number of files and bytes of its source.
        plots: what `dvc plots` draws of it.
        references: whether its stages can read files that stay where they are.
        headline: what the README and the end of the demo print of its metrics.
    """

    title: str
    question: str
    citation: str
    stages: tuple[str, ...]
    needs: Callable[[Mapping[str, Any], int, int], Needs]
    references: Literal["read", "refused"] = "refused"
    plots: tuple[Plot, ...] = ()
    headline: tuple[Headline, ...] = ()
