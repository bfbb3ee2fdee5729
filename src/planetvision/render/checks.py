"""Checks of the arguments of the public functions: given, expected, remedy."""

from __future__ import annotations

import math
import numbers

from planetvision.errors import SettingsError

__all__ = ["check_integer", "check_phase_angle"]


def check_integer(name: str, value: object, *, at_least: int | None, remedy: str) -> int:
    """Returns `value` as an int.

    Args:
        name: The argument's name, for the message.
        value: What was given; NumPy's integers are fine, booleans are not.
        at_least: The smallest value, or None for any.
        remedy: What to pass instead.

    Raises:
        SettingsError: If it is no whole number, or too small.
    """
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        whole = int(value)
        if at_least is None or whole >= at_least:
            return whole
    bound = "" if at_least is None else f" of at least {at_least}"
    raise SettingsError(f"`{name}` must be a whole number{bound}, got {value!r}. {remedy}")


def check_phase_angle(value: object) -> float:
    """Returns `value` as a float.

    Raises:
        SettingsError: If it is no number in [0, 180].
    """
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        angle = float(value)
        if math.isfinite(angle) and 0 <= angle <= 180:
            return angle
    raise SettingsError(
        f"`phase_angle_degrees` must be a number in [0, 180], got {value!r}. "
        "Pass 0 for a full disc, 90 for a half one, or None to draw it at random."
    )
