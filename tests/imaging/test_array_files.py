import time
from pathlib import Path

import numpy as np
import pytest

from tissuetrace.imaging.array_files import write_arrays


def test_arrays_come_back_with_their_types(tmp_path: Path) -> None:
    arrays = {
        "x": np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32),
        "names": np.array(["CD3", "Cytokeratin 5"]),
        "px_um": np.array(0.5),
        "tissue": np.eye(3, dtype=np.bool_),
    }

    write_arrays(tmp_path / "a.npz", arrays)

    with np.load(tmp_path / "a.npz") as found:
        assert list(found) == list(arrays)
        assert {name: found[name].dtype for name in found} == {
            name: array.dtype for name, array in arrays.items()
        }
        np.testing.assert_array_equal(found["x"], arrays["x"])
        assert found["names"].tolist() == ["CD3", "Cytokeratin 5"]


def test_the_same_arrays_give_the_same_bytes_at_any_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_arrays(tmp_path / "a.npz", {"x": np.arange(9)})
    later = time.time() + 10**8
    monkeypatch.setattr(time, "time", lambda: later)

    write_arrays(tmp_path / "b.npz", {"x": np.arange(9)})

    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_objects_are_no_arrays_to_write(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Object arrays"):
        write_arrays(tmp_path / "a.npz", {"x": np.array([{}])})
