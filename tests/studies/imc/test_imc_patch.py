import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from imc_cores import COHORT, PATCH, PREDICTORS, Cores, draw_cores, two_workers

from tissuetrace.imaging.masks import unpack
from tissuetrace.pipeline.errors import InputError
from tissuetrace.pipeline.files import column_mistakes, read_table, write_table
from tissuetrace.pipeline.gate import code_sha256
from tissuetrace.pipeline.hashing import digest
from tissuetrace.studies.imc import cutting, one_core
from tissuetrace.studies.imc.patch import patch


@pytest.fixture
def cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cores:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TISSUETRACE_WORKERS", "1")
    return draw_cores(tmp_path, subjects=4)


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def cuts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collect the names of the cores that are opened to be cut."""
    opened: list[str] = []
    cut_core = one_core.cut_core

    def counting(job: one_core.CoreJob) -> None:
        opened.append(job.image.stem)
        cut_core(job)

    monkeypatch.setattr(cutting, "cut_core", counting)
    return opened


def accept(cores: Cores) -> None:
    """Put outputs where dvc would after a run: the lock, and the cache under their hashes."""
    lock = []
    for name in ("tables", "pixels"):
        folder = cores.home / cores.out("patch", name)
        listing = [
            {"md5": digest(path).md5, "relpath": path.name} for path in sorted(folder.glob("*"))
        ]
        md5 = digest(folder).md5
        objects = {**{entry["md5"]: folder / entry["relpath"] for entry in listing}, md5: listing}
        for key, content in objects.items():
            place = cores.home / ".dvc/cache/files/md5" / key[:2] / key[2:]
            place.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, Path):
                shutil.copyfile(content, place)
            else:
                place.write_text(json.dumps(content))
        lock.append(f"- path: {cores.out('patch', name)}\n  hash: md5\n  md5: {md5}\n")
    (cores.home / "dvc.lock").write_text("".join(lock))


def test_the_table_of_cores_has_the_declared_columns_and_counts(cores: Cores) -> None:
    cores.patch()

    table = cores.table("patch", "cores")
    shards = [
        read_table(cores.home / cores.out("patch", f"tables/{image}.parquet"))
        for image in table["image"]
    ]
    path = cores.home / cores.out("patch", "cores.parquet")
    assert column_mistakes(path, patch.writes["cores"].columns) == []
    assert table["image"].tolist() == ["core-00", "core-01", "core-02", "core-03"]
    assert table["subject"].tolist() == ["patient-00", "patient-01", "patient-02", "patient-03"]
    assert table["patches"].tolist() == [len(shard) for shard in shards]
    assert set(table["dropped_border"]) == {6 * 7 - 5 * 6}
    assert (table[["patches", "dropped_tissue", "dropped_hole"]].sum(axis=1) == 30).all()


def test_a_shard_has_the_columns_of_the_page_and_pixels_in_the_same_order(cores: Cores) -> None:
    cores.patch()

    table = read_table(cores.home / cores.out("patch", "tables/core-01.parquet"))
    with (
        np.load(cores.home / cores.out("patch", "pixels/core-01.npz")) as shard,
        np.load(cores.images / "core-01.npz") as core,
    ):
        pixels, masks, x = shard["pixels"], shard["masks"], core["x"]
        assert shard["names"].tolist() == list(PREDICTORS)
        assert shard["shape"].tolist() == [10, 10]
        assert shard["px_um"] == 1.0
    assert list(table) == [
        *["item", "subject", "image", "row", "col", "label", "tissue", "tumour", "kept"],
        *["erased_um2", "components", "marker_um2", *(f"mean_{name}" for name in PREDICTORS)],
    ]
    place = table.index[table["erased_um2"] > 0][0]
    row, col = table.loc[place, ["row", "col"]].astype(int)
    window = x[3:, 10 * row : 10 * row + 10, 10 * col : 10 * col + 10]
    erased = unpack(masks, (10, 10))[place]
    assert table.loc[place, "item"] == f"core-01:{row}:{col}"
    assert pixels.dtype == np.uint16
    np.testing.assert_array_equal(pixels[place], window)
    assert erased.sum() == table.loc[place, "erased_um2"]
    means = table.loc[place, [f"mean_{name}" for name in PREDICTORS]].to_numpy(dtype=float)
    np.testing.assert_allclose(means, window[:, ~erased].mean(axis=1), rtol=1e-6)


def test_counts_that_are_not_whole_stay_floats_in_their_core_alone(cores: Cores) -> None:
    with np.load(cores.images / "core-02.npz") as core:
        x = core["x"]
    cores.edit("core-02", x=x + np.float32(0.25))

    cores.patch()

    kinds = {
        path.stem: np.load(path)["pixels"].dtype.name
        for path in (cores.home / cores.out("patch", "pixels")).glob("*.npz")
    }
    assert kinds.pop("core-02") == "float32"
    assert set(kinds.values()) == {"uint16"}


def test_full_means_are_retained_means_times_the_share_that_is_left(cores: Cores) -> None:
    cores.patch()
    cores.patch(replace(PATCH, mean="full"), into="full")

    retained = read_table(cores.home / cores.out("patch", "tables/core-00.parquet"))
    full = read_table(cores.home / cores.out("patch", "full/tables/core-00.parquet"))
    assert retained["kept"].min() < 1
    np.testing.assert_allclose(
        full["mean_CXCL9"], retained["mean_CXCL9"] * retained["kept"], rtol=1e-12
    )


def test_a_tumour_mask_that_was_supplied_replaces_the_marker(cores: Cores) -> None:
    mask = np.zeros((53, 64), bool)
    mask[:, :15] = True
    cores.edit("core-00", tumour=mask)

    cores.patch()

    table = read_table(cores.home / cores.out("patch", "tables/core-00.parquet"))
    shares = table.groupby("col")["tumour"].first()
    assert shares[[1, 2]].tolist() == [0.5, 0.0]


def test_without_a_tumour_marker_every_patch_is_tumour(cores: Cores) -> None:
    cores.patch(cohort=replace(COHORT, tumour_marker=""))

    table = read_table(cores.home / cores.out("patch", "tables/core-00.parquet"))
    assert set(table["tumour"]) == {1.0}


def test_pixels_that_were_not_acquired_drop_their_patch(cores: Cores) -> None:
    acquired = np.ones((53, 64), bool)
    acquired[25, 35] = False
    cores.edit("core-00", acquired=acquired)

    cores.patch()

    table = read_table(cores.home / cores.out("patch", "tables/core-00.parquet"))
    assert "core-00:2:2" in set(table["item"])
    assert "core-00:2:3" not in set(table["item"])


def test_suspicious_cores_are_counted(cores: Cores) -> None:
    with np.load(cores.images / "core-00.npz") as core:
        x = core["x"]
    x[:3] = 0  # markers
    x[4] = 2  # a predictor
    x[5, 0, :4] = np.nan
    x[5, 1, :2] = -1
    cores.edit("core-00", x=x)

    cores.patch()

    counts = cores.table("patch", "cores").set_index("image")
    columns = ["constant_channels", "zero_markers", "non_finite", "negative"]
    assert counts.loc[["core-00"], columns].to_numpy().tolist() == [[4, 1, 4, 2]]
    assert counts.loc[["core-01"], columns].to_numpy().tolist() == [[0, 0, 0, 0]]
    assert counts.loc[["core-00", "core-01"], "constant_names"].tolist() == [
        "CD3, CD8, PD1, DapB",
        "",
    ]


def test_missing_channels_of_all_cores_are_listed_at_once(cores: Cores) -> None:
    cores.edit("core-01", names=np.array(["CD3", "CD8", "PD1", "CXCL9", "DapB", "SOX9"]))
    cores.edit("core-03", names=np.array(["CD3e", "CD8", "PD-1", "CXCL9", "DapB", "SOX10"]))

    with pytest.raises(InputError) as caught:
        cores.patch()

    first, *items = str(caught.value).splitlines()
    assert "2 of 4 cores lack a channel" in first
    assert items == [
        "  core-01: no SOX10 among CD3, CD8, PD1, CXCL9, DapB, SOX9",
        "  core-03: no CD3, PD1 among CD3e, CD8, PD-1, CXCL9, DapB, SOX10",
    ]


def test_one_more_core_costs_one_more_core(cores: Cores, monkeypatch: pytest.MonkeyPatch) -> None:
    cores.patch(into=".partial-patch@toy")  # where the spine lets a stage write
    for name in ("tables", "pixels"):
        shutil.move(cores.out("patch", f".partial-patch@toy/{name}"), cores.out("patch", name))
    accept(cores)
    shutil.copyfile(cores.images / "core-00.npz", cores.images / "core-01.npz")  # another content
    opened = cuts(monkeypatch)

    cores.patch(into=".partial-patch@toy")

    assert opened == ["core-01"]
    made = files(cores.home / cores.out("patch", ".partial-patch@toy/tables"))
    before = files(cores.home / cores.out("patch", "tables"))
    assert made.keys() == before.keys()
    differing = {name for name in made if made[name] != before[name]}
    assert differing == {"core-01.parquet", "core-01.counts.json", "keys.json"}


@pytest.mark.parametrize("changed", ["radius", "threshold", "subject", "code", "free"])
def test_what_decides_the_bytes_decides_what_is_cut_again(
    cores: Cores, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    cores.patch(into=".partial-patch@toy")
    for name in ("tables", "pixels"):
        shutil.move(cores.out("patch", f".partial-patch@toy/{name}"), cores.out("patch", name))
    accept(cores)
    opened = cuts(monkeypatch)
    params = replace(PATCH, radius_um=3.0 if changed == "radius" else PATCH.radius_um)
    cohort = replace(COHORT, threshold=2.0 if changed == "threshold" else COHORT.threshold)
    cohort = replace(cohort, free=() if changed == "free" else COHORT.free)
    code = {"code": lambda *_: "of another version"}.get(changed, code_sha256)
    monkeypatch.setattr(cutting, "code_sha256", code)
    names = cores.images.with_suffix(".parquet")
    renamed = read_table(names).replace({"subject": {"patient-02": "p2"}})
    write_table(renamed if changed == "subject" else read_table(names), names)

    cores.patch(params, cohort, into=".partial-patch@toy")

    assert opened == {"subject": ["core-02"], "free": []}.get(
        changed, [f"core-{n:02d}" for n in range(4)]
    )


def test_two_workers_write_the_same_bytes(cores: Cores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cutting, "_CHUNK", 2)
    cores.patch(into="one")
    with two_workers():
        cores.patch(into="two")

    one, two = (files(cores.home / cores.out("patch", name)) for name in ("one", "two"))
    assert len(one) == 1 + 4 * 2 + 1 + 4 + 1  # cores; tables and counts; pixels; two keys.json
    assert one == two


def test_the_stage_imports_neither_torch_nor_sklearn(cores: Cores) -> None:
    code = (
        "import sys; from imc_cores import Cores; from pathlib import Path\n"
        "cores = Cores(Path()); cores.patch(); cores.split(); cores.decoy()\n"
        "print(sorted({'torch', 'sklearn'} & set(sys.modules)))"
    )
    support = Path(__file__).parents[2] / "support"
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=draw_cores_for_split(cores),
        env={"PYTHONPATH": str(support), "TISSUETRACE_WORKERS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.stdout.strip() == "[]", run.stderr


def draw_cores_for_split(cores: Cores) -> Path:
    home = cores.home / "larger"
    home.mkdir()
    return draw_cores(home, subjects=10).home
