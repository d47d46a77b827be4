"""A checkpoint is whole or absent."""

import pickle
from pathlib import Path

import pytest
import torch

from tissuetrace.learn.checkpoint import read_checkpoint, write_checkpoint
from tissuetrace.pipeline.errors import InputError


def test_a_checkpoint_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "deeper" / "last.pt"
    content = {"epoch": 3, "weights": {"a": torch.arange(3.0)}, "history": [{"loss": 0.5}]}

    write_checkpoint(content, path)

    found = read_checkpoint(path)
    assert found is not None
    assert torch.equal(found["weights"].pop("a"), content["weights"].pop("a"))  # type: ignore[attr-defined]  # a mapping, as written above
    assert found == content
    assert [file.name for file in path.parent.iterdir()] == ["last.pt"]


def test_there_is_nothing_to_read_before_the_first_checkpoint(tmp_path: Path) -> None:
    assert read_checkpoint(tmp_path / "last.pt") is None


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    torch.save({"epoch": 1, "code": pytest.fail}, path)

    with pytest.raises(InputError, match=r"last\.pt: no checkpoint .* Remove it"):
        read_checkpoint(path)


@pytest.mark.parametrize("content", [b"", b"half a checkpoint", pickle.dumps({"a": 1})[:-3]])
def test_a_damaged_checkpoint_is_named_with_what_to_do(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "last.pt"
    path.write_bytes(content)

    with pytest.raises(InputError, match=r"last\.pt: no checkpoint .* Remove it"):
        read_checkpoint(path)


def test_a_full_disk_leaves_the_former_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "last.pt"
    write_checkpoint({"epoch": 1}, path)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_checkpoint({"epoch": 2}, path)

    assert read_checkpoint(path) == {"epoch": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["last.pt"]
