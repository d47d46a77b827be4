from pathlib import Path

import pytest

from tissuetrace.pipeline.stage import exact, stage

OUT = {"out": exact("data/x/y/out", "nothing")}


def test_a_declaration_is_called_with_the_function_s_keywords(tmp_path: Path) -> None:
    @stage(reads={"table": "t"}, writes=OUT)
    def copy(*, table: Path, out: Path) -> None:
        out.write_text(table.read_text())

    (tmp_path / "a").write_text("content")
    copy(table=tmp_path / "a", out=tmp_path / "b")

    assert (tmp_path / "b").read_text() == "content"


def test_a_gated_stage_reads_the_admission() -> None:
    @stage(reads={}, writes=OUT, gate="data/x/admit/admission.json")
    def train(*, admission: Path, out: Path) -> None:
        out.write_bytes(admission.read_bytes())

    assert train.reads == {"admission": "data/x/admit/admission.json"}


@pytest.mark.parametrize("extra", ["table", "params", "resume"])
def test_a_declared_name_that_the_function_does_not_take_is_refused(extra: str) -> None:
    declare = stage(
        reads={"table": "t"} if extra == "table" else {},
        writes=OUT,
        params=int if extra == "params" else None,
        resumes=extra == "resume",
    )

    def nothing(*, out: Path) -> None:
        out.touch()

    with pytest.raises(TypeError, match=f"declaration says .*{extra}"):
        declare(nothing)
