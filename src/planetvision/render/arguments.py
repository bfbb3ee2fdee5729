"""Checks of the arguments of the public functions."""

from __future__ import annotations

import math
import numbers
from collections.abc import Collection

from planetvision.core.errors import SettingsError, UnknownNameError
from planetvision.core.settings import MIN_IMAGE_SIZE


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


def check_image_size(image_size: object) -> int:
    """Returns a picture's side in pixels as an int.

    Raises:
        SettingsError: If it is no whole number, or smaller than a network may be shown.
    """
    return check_integer(
        "image_size", image_size, at_least=MIN_IMAGE_SIZE, remedy="Pass pixels, such as 224."
    )


def check_name(
    name: object, known: Collection[str], *, expected: str, what: str, family: str
) -> None:
    """Checks that a name is known.

    Args:
        name: What was given.
        known: The names that there are.
        expected: The start of the message for a value that is no string, up to "got".
        what: The kind of thing that has the name.
        family: The family of the known names, for the error.

    Raises:
        SettingsError: If it is no string.
        UnknownNameError: If it is not known; the message suggests the nearest name.
    """
    remedy = f"Known: {', '.join(known)}."
    if not isinstance(name, str):
        raise SettingsError(f"{expected} got {name!r} of type {type(name).__name__}. {remedy}")
    if name not in known:
        raise UnknownNameError.among(
            f"Unknown {what} {name!r}.", known=known, remedy=remedy, family=family, name=name
        )


def refuse_single_name(argument: str, names: object) -> None:
    """Checks that a sequence of names is not a single string.

    Raises:
        SettingsError: If it is a string.
    """
    if isinstance(names, str):
        raise SettingsError(
            f"`{argument}` must be a sequence of names, got the string {names!r}. "
            f"Pass a list such as [{names!r}]."
        )


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
