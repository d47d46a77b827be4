"""The type checker behind jaxtyping's annotations in tests: an int is a float, as in the PEP."""

from beartype import BeartypeConf, beartype

typecheck = beartype(conf=BeartypeConf(is_pep484_tower=True))
