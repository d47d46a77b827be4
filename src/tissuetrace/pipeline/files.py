"""Tables and JSON on disk, in bytes that depend on their content alone."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tissuetrace.pipeline.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["column_mistakes", "read_json", "read_table", "write_json", "write_table"]


def read_table(path: Path, columns: list[str] | None = None) -> "pd.DataFrame":
    """Read a parquet table, or some of its columns.

    Raises:
        InputError: the file is no parquet table.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path, columns=columns)
    except pa.ArrowInvalid as problem:
        raise InputError(
            f"no parquet table ({problem})", where=str(path), todo="Run tissuetrace repro"
        ) from problem
    frame: pd.DataFrame = table.to_pandas()
    return frame


def write_table(table: "pd.DataFrame", path: Path) -> None:
    """Write a table as parquet, rows and columns in the order given, without an index."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrow = pa.Table.from_pandas(table, preserve_index=False)
    plain = pa.schema([(field.name, _plain(field.type)) for field in arrow.schema])
    path.parent.mkdir(parents=True, exist_ok=True)
    # pandas' own metadata names its version, which is no part of the data
    pq.write_table(arrow.cast(plain).replace_schema_metadata(None), path, compression="zstd")


def _plain(kind: Any) -> Any:  # noqa: ANN401  # pyarrow publishes no types
    import pyarrow as pa

    return pa.string() if pa.types.is_large_string(kind) else kind


def column_mistakes(path: Path, columns: Mapping[str, str]) -> list[str]:
    """Compare a table's columns with a declaration of `name → "dtype: meaning"`."""
    import pyarrow.parquet as pq

    found = {field.name: str(field.type).replace("element: ", "") for field in pq.read_schema(path)}
    declared = {name: text.partition(":")[0] for name, text in columns.items()}
    if list(found) == list(declared) and found == declared:
        return []
    return [f"{path.name}: found {found}, declared {declared}"]


def read_json(path: Path) -> Any:  # noqa: ANN401  # JSON is any value
    """Read JSON.

    Raises:
        InputError: the file is no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as problem:
        raise InputError(
            f"no valid JSON ({problem})", where=str(path), todo="Run tissuetrace repro"
        ) from problem


def write_json(content: object, path: Path) -> None:
    """Write JSON with sorted keys and a last newline.

    Raises:
        ValueError: a number is NaN or infinite, which JSON cannot say.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(content, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")
