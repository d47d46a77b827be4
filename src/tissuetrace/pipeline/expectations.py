"""Running a suite of rules through Great Expectations; the only module that imports it."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tissuetrace.pipeline.gate import Finding, Rule

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["check_rules"]


def check_rules(rules: Sequence[Rule], tables: Mapping[str, "pd.DataFrame"]) -> list[Finding]:
    """Check every rule on its table, in the order given.

    The library is asked for booleans alone, since its longer answers quote failing values; what
    was found is counted here.

    Raises:
        ValueError: a rule names a table that is not given.
    """
    unknown = sorted({rule.table for rule in rules} - set(tables))
    if unknown:
        raise ValueError(f"rules name tables that are not given: {unknown}")
    batches = _batches({name: tables[name] for name in {rule.table for rule in rules}})
    return [_finding(rule, batches[rule.table], tables[rule.table]) for rule in rules]


def _batches(tables: Mapping[str, "pd.DataFrame"]) -> dict[str, Any]:
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    source = context.data_sources.add_pandas("tables")
    batches = {}
    for name, table in sorted(tables.items()):
        asset = source.add_dataframe_asset(name)
        definition = asset.add_batch_definition_whole_dataframe("all")
        batches[name] = definition.get_batch({"dataframe": table})
    return batches


def _finding(rule: Rule, batch: Any, table: "pd.DataFrame") -> Finding:  # noqa: ANN401  # GX batch
    import great_expectations.expectations as gxe

    expectation = getattr(gxe, rule.expectation)(severity=rule.severity, **rule.arguments)
    result = batch.validate(expectation, result_format="BOOLEAN_ONLY")
    return Finding(
        rule=rule.name,
        severity=rule.severity,
        held=bool(result.success),
        found=_found(rule, table),
        bound=_bound(rule),
        todo=rule.todo,
    )


def _bound(rule: Rule) -> str:
    arguments = rule.arguments
    low, high = arguments.get("min_value"), arguments.get("max_value")
    if low is not None and low == high:
        return f"{low:g}"
    if low is not None and high is not None:
        return f"{low:g} to {high:g}"
    if low is not None or high is not None:
        return f"at least {low:g}" if high is None else f"at most {high:g}"
    given = {key: value for key, value in arguments.items() if key != "column"}
    return ", ".join(f"{key} {value}" for key, value in given.items()) or rule.name


def _found(rule: Rule, table: "pd.DataFrame") -> str:
    """Return the value of a table of one row, else how many rows lie outside the bounds."""
    column = rule.arguments.get("column")
    if column is None or column not in table:
        return f"{len(table.columns)} columns, {len(table)} rows"
    values = table[column]
    if len(values) == 1:
        return f"{values.iloc[0]:g}"
    low, high = rule.arguments.get("min_value"), rule.arguments.get("max_value")
    outside = values.isna()
    outside |= values < low if low is not None else False
    outside |= values > high if high is not None else False
    if "value_set" in rule.arguments:
        outside |= ~values.isin(rule.arguments["value_set"])
    if rule.expectation == "ExpectColumnValuesToBeUnique":
        outside |= values.duplicated(keep=False)
    return f"{int(outside.sum())} of {len(values)} rows outside"
