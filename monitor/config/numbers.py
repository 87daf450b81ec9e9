"""Numbers as an operator writes them."""

from __future__ import annotations

import math
import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema


def parse_number(value: object) -> float:
    """Text is welcome (`${MARGIN}`), but not what Python also takes for a number: true, `1_000`, infinities.

    Raises:
        ValueError: For anything else.
    """
    if isinstance(value, str) and re.fullmatch(r"\s*-?[0-9]{1,15}(\.[0-9]{1,15})?\s*", value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError("must be a number; write for example 0.03")
    return float(value)


def _not_negative(value: float) -> float:
    if value < 0:
        raise ValueError("must be at least 0")
    return value


Number = Annotated[float, BeforeValidator(parse_number)]
NotNegative = Annotated[Number, AfterValidator(_not_negative), WithJsonSchema({"type": "number", "minimum": 0})]
