"""The images of the collection by name, and every contradiction between names and folders."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from tissuetrace.studies.leukemia.names import PATTERN, CellName, parse_name, parse_place
from tissuetrace.studies.leukemia.preliminary import read_preliminary

__all__ = ["Listing", "NamedImage", "label_mistakes", "list_images"]

LABELS = {"hem": 0, "all": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedImage:
    """One labelled image.

    Args:
        path: below the folder of all images.
        name: of the cell, without ending; a preliminary image takes that of its table.
        said: what the name says.
        label: 1 for a blast, 0 for a normal precursor.
        fold: official fold, -1 in the preliminary phase.
    """

    path: str
    name: str
    said: CellName
    label: int
    fold: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Labelled images, sorted by name, what is wrong with names, and what was counted.

    Args:
        images: one for each labelled image whose name can be read.
        mistakes: one line each; nothing may be built on the images where there is any.
        counts: of the preliminary table (`rows`, `present`, `missing`) and of images that were
            published without labels (`unlabelled`).
        absent: images of the preliminary table that are not there, as ranges of their names.
    """

    images: list[NamedImage]
    mistakes: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)


def list_images(folder: Path) -> Listing:
    """List the bitmaps below a folder by the rules of the collection; opens none of them."""
    paths = sorted(
        PurePosixPath(path.relative_to(folder).as_posix())
        for path in folder.rglob("*")
        if path.is_file() and path.suffix.lower() == ".bmp"
    )
    places = {path: parse_place(path) for path in paths}
    mistakes = [
        f"{path}: lies in no fold_N/all, fold_N/hem or preliminary folder"
        for path, place in places.items()
        if place is None
    ]
    training, wrong = _list_training([path for path in paths if _phase(places[path]) == "training"])
    phase = [path for path in paths if _phase(places[path]) == "preliminary"]
    table = read_preliminary(folder, [path.name for path in phase])
    preliminary = [
        NamedImage(path=str(path), name=name, said=said, label=LABELS[said.suffix], fold=-1)
        for path in phase
        for name, said in table.named(path.name)
    ]
    images = sorted([*training, *preliminary], key=lambda image: image.name)
    return Listing(
        images=images,
        mistakes=[*mistakes, *wrong, *table.mistakes, *_set_mistakes(images, training)],
        counts={
            "rows": table.rows,
            "present": len(phase),
            "missing": table.missing,
            "unlabelled": sum(_phase(place) == "final" for place in places.values()),
        },
        absent=table.absent,
    )


def label_mistakes(path: str, name: str) -> list[str]:
    """Compare the labels that folder, suffix and prefix of a training image give."""
    said, place = parse_name(name), parse_place(PurePosixPath(path))
    if place is None or place.phase != "training":
        return []
    if said is None:
        return [f"{path}: found {name!r}, expected {PATTERN}; the folder says {place.folder}"]
    if place.folder == said.suffix == said.prefix:
        return []
    labels = f"the folder says {place.folder}, the suffix says {said.suffix}"
    return [f"{path}: {labels}, the prefix of {said.subject} says {said.prefix}"]


def _phase(place: object) -> str:
    return getattr(place, "phase", "")


def _list_training(paths: Sequence[PurePosixPath]) -> tuple[list[NamedImage], list[str]]:
    images, mistakes, stripped = [], [], []
    for path in paths:
        said, place = parse_name(path.stem), parse_place(path)
        wrong = label_mistakes(str(path), path.stem)
        if said is not None and place is not None:
            label = LABELS[said.suffix]
            images.append(
                NamedImage(path=str(path), name=path.stem, said=said, label=label, fold=place.fold)
            )
            if place.folder == said.suffix == "hem" and wrong:
                stripped += wrong
                continue
        mistakes += wrong
    return images, mistakes + _stripped_mistakes(images, stripped)


def _stripped_mistakes(images: Iterable[NamedImage], stripped: list[str]) -> list[str]:
    """Say it once where the H of normal subjects is missing so that ids meet over labels."""
    labels = defaultdict(set)
    for image in images:
        labels[image.said.subject].add(image.label)
    both = sorted((subject for subject, found in labels.items() if len(found) > 1), key=_by_number)
    if not both or not stripped:
        return stripped
    carried = f"{len(both)} ids carry both labels ({', '.join(both)})"
    reason = "end on _hem without an H before the id: the H of normal subjects was stripped"
    return [f"{carried}; {len(stripped)} names {reason}"]


def _by_number(subject: str) -> tuple[int, str]:
    return int(subject.lstrip("Hh")), subject


def _set_mistakes(images: Sequence[NamedImage], training: Sequence[NamedImage]) -> list[str]:
    paths, spellings = defaultdict(list), defaultdict(set)
    for image in images:
        paths[image.name].append(image.path)
        spellings[image.said.subject.upper()].add(image.said.subject)
    mistakes = [
        f"{name}: one name for {len(found)} images, {' and '.join(found)}"
        for name, found in paths.items()
        if len(found) > 1
    ]
    mistakes += [
        f"subjects {' and '.join(sorted(found))}: one subject or two? Spell them alike, "
        "or give them different numbers"
        for found in spellings.values()
        if len(found) > 1
    ]
    blasts = sum(image.label for image in training)
    if blasts in {0, len(training)}:
        mistakes.append(
            f"one class is missing: found {blasts} ALL and {len(training) - blasts} normal "
            "training images, both are needed"
        )
    return mistakes
