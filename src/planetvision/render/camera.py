"""`Camera`: the fixed parts of a viewpoint."""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass

import numpy as np

from planetvision.core.errors import SettingsError
from planetvision.render.body import Body
from planetvision.render.geometry import View


@dataclass(frozen=True, kw_only=True)
class Camera:
    """The viewpoint of a picture; values that are None are drawn at random.

    Args:
        distance_radii: How far it is from the body's centre, in equatorial radii, over 1 and beyond
            the rings; from nearby it sees less than a hemisphere. Infinity is a parallel
            projection.
        field_of_view_degrees: The angle that a side of the picture spans, in (0, 180); it asks for
            a finite distance, and with it sets how large the body appears.
        sub_observer_latitude_degrees: The latitude below the camera, planetocentric, in [-90, 90].
        sub_observer_longitude_degrees: The longitude below it, eastwards, in [-360, 360].
        position_angle_degrees: How far the north pole is turned counter-clockwise from up, in
            [-360, 360].

    Raises:
        SettingsError: If a number is out of range; all of them are named.
    """

    distance_radii: float | None = None
    field_of_view_degrees: float | None = None
    sub_observer_latitude_degrees: float | None = None
    sub_observer_longitude_degrees: float | None = None
    position_angle_degrees: float | None = None

    def __post_init__(self) -> None:
        problems = []
        for name, low, high, remedy in (
            ("sub_observer_latitude_degrees", -90, 90, "Pass 0 for a view from above the equator."),
            ("sub_observer_longitude_degrees", -360, 360, "Pass 0 for the prime meridian."),
            ("position_angle_degrees", -360, 360, "Pass 0 for north up."),
        ):
            value = getattr(self, name)
            if value is not None and not (_is_finite(value) and low <= value <= high):
                problems.append(
                    f"`{name}` must be a number in [{low}, {high}], got {value!r}. {remedy}"
                )
        distance, field = self.distance_radii, self.field_of_view_degrees
        if distance is not None and not (_is_number(distance) and distance > 1):
            problems.append(
                f"`distance_radii` must be a number over 1, got {distance!r}. Pass 20, or math.inf "
                "for a parallel projection."
            )
        if field is not None:
            if not (_is_finite(field) and 0 < field < 180):
                problems.append(
                    f"`field_of_view_degrees` must be a number between 0 and 180, got {field!r}. "
                    "Pass 10, for example."
                )
            if distance is None or not _is_finite(distance):
                problems.append(
                    "`field_of_view_degrees` needs a finite `distance_radii`, got "
                    f"{distance!r}. Pass both, such as 20 radii and 8 degrees."
                )
        if problems:
            raise SettingsError.from_problems(problems)

    def pick_longitude(self, drawn: float) -> float:
        """Returns the fixed longitude, or else the drawn one."""
        fixed = self.sub_observer_longitude_degrees
        return drawn if fixed is None else float(fixed)

    def create_view(
        self,
        body: Body,
        *,
        image_size: int,
        latitude_degrees: float,
        position_angle_degrees: float,
        reach: float,
        shift: tuple[float, float],
        distance_radii: float = math.inf,
        extent: float | None = None,
    ) -> View:
        """Returns the view of a body from here.

        Args:
            body: The body.
            image_size: The height and width of the picture in pixels.
            latitude_degrees: The latitude below the camera.
            position_angle_degrees: The position angle that was drawn.
            reach: Half of the longer side of the body, rings included, as a share of the picture.
            shift: Where it stands vertically and horizontally, as shares of the room there is.
            distance_radii: The distance that was drawn.
            extent: The radius of what `reach` is to hold, or None for the body's own.

        Raises:
            SettingsError: If the camera stands within the rings.
        """
        distance = distance_radii if self.distance_radii is None else float(self.distance_radii)
        if distance <= body.extent:
            raise SettingsError(
                f"`distance_radii` must be beyond the rings of {body.name}, which reach "
                f"{body.extent:.2f} radii, got {distance:g}. Pass {math.ceil(body.extent + 1)}."
            )
        fixed = self.position_angle_degrees
        view = View(
            flattening=body.flattening,
            radius_pixels=1.0,
            center_row_pixels=0.0,
            center_column_pixels=0.0,
            sub_observer_latitude_degrees=latitude_degrees,
            position_angle_degrees=position_angle_degrees if fixed is None else float(fixed),
            distance_radii=distance,
        )
        framed = body.extent if extent is None or distance <= extent else extent
        half_height, half_width = view.half_sizes(framed)
        radius = reach * image_size / max(half_height, half_width)
        if self.field_of_view_degrees is not None:
            half_field = math.tan(math.radians(self.field_of_view_degrees) / 2)
            radius = image_size / (2 * distance * half_field)
        middle = (image_size - 1) / 2
        reaches = radius * np.array([half_height, half_width])
        room = middle - 1 - reaches
        # A body that is larger than the picture may be moved until its limb is in the middle.
        room = np.where(room >= 0, room, np.minimum(reaches, np.maximum(-room, 0.35 * image_size)))
        row, column = middle + np.array(shift) * room
        return View(
            flattening=view.flattening,
            radius_pixels=radius,
            center_row_pixels=float(row),
            center_column_pixels=float(column),
            sub_observer_latitude_degrees=view.sub_observer_latitude_degrees,
            position_angle_degrees=view.position_angle_degrees,
            distance_radii=distance,
        )


def _is_number(value: object) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _is_finite(value: object) -> bool:
    return _is_number(value) and math.isfinite(value)  # type: ignore[arg-type] # a number by then
