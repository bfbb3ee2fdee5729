"""`Ellipse`: a disc or a ring system seen at an angle, and the pixels inside it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Ellipse:
    """An ellipse in a frame; a circle where both half-axes are the same.

    Convention: pixels, the centre of the first one at (0, 0); rows grow downward. The angle turns
    the major axis counter-clockwise from the direction of the columns, in [0, 180).

    Args:
        center_row: The row of the centre.
        center_column: The column of the centre.
        semi_major: The longer half-axis.
        semi_minor: The shorter half-axis.
        angle_degrees: The angle of the major axis.
    """

    center_row: float
    center_column: float
    semi_major: float
    semi_minor: float
    angle_degrees: float = 0.0

    @classmethod
    def from_matrix(cls, center: Floats, matrix: Floats) -> Ellipse:
        """Returns the image of the unit circle under `center + matrix @ point`.

        Convention: vectors are (column, row).
        """
        directions, lengths, _ = np.linalg.svd(matrix)
        column, row = directions[:, 0]
        return cls(
            center_row=float(center[1]),
            center_column=float(center[0]),
            semi_major=float(lengths[0]),
            semi_minor=float(lengths[1]),
            angle_degrees=math.degrees(math.atan2(-row, column)) % 180.0,
        )

    @property
    def center(self) -> Floats:
        """The centre as (column, row)."""
        return np.array([self.center_column, self.center_row])

    @property
    def matrix(self) -> Floats:
        """The matrix that makes this ellipse of the unit circle; vectors are (column, row)."""
        angle = math.radians(self.angle_degrees)
        cosine, sine = math.cos(angle), math.sin(angle)
        return np.array(
            [
                [self.semi_major * cosine, self.semi_minor * sine],
                [-self.semi_major * sine, self.semi_minor * cosine],
            ]
        )

    @property
    def half_height(self) -> float:
        """Half the height of the bounding box."""
        return float(np.linalg.norm(self.matrix[1]))

    @property
    def half_width(self) -> float:
        """Half the width of the bounding box."""
        return float(np.linalg.norm(self.matrix[0]))

    def grow(self, pixels: float) -> Ellipse:
        """Returns the ellipse with both half-axes longer by a number of pixels."""
        return replace(
            self, semi_major=self.semi_major + pixels, semi_minor=self.semi_minor + pixels
        )

    def zoom(self, factor: float) -> Ellipse:
        """Returns the ellipse with both half-axes times `factor`."""
        return replace(
            self, semi_major=self.semi_major * factor, semi_minor=self.semi_minor * factor
        )

    def shift(self, rows: float, columns: float) -> Ellipse:
        """Returns the ellipse moved down and to the right."""
        return replace(
            self,
            center_row=self.center_row + rows,
            center_column=self.center_column + columns,
        )

    def rescale(self, down: float, along: float) -> Ellipse:
        """Returns the ellipse in a frame with `down` times the rows and `along` the columns."""
        center = (self.center + 0.5) * (along, down) - 0.5
        return Ellipse.from_matrix(center, np.diag([along, down]) @ self.matrix)

    def create_mask(self, height: int, width: int) -> npt.NDArray[np.bool_]:
        """Returns a mask of a frame that is True where a pixel's centre lies inside."""
        mask = np.zeros((height, width), np.bool_)
        top = max(0, math.floor(self.center_row - self.half_height))
        left = max(0, math.floor(self.center_column - self.half_width))
        bottom = min(height, math.ceil(self.center_row + self.half_height) + 1)
        right = min(width, math.ceil(self.center_column + self.half_width) + 1)
        if self.semi_minor <= 0 or bottom <= top or right <= left:
            return mask
        inverse = np.linalg.inv(self.matrix).astype(np.float32)
        rows = np.arange(top, bottom, dtype=np.float32)[:, None] - np.float32(self.center_row)
        columns = np.arange(left, right, dtype=np.float32) - np.float32(self.center_column)
        across = inverse[0, 0] * columns + inverse[0, 1] * rows
        along = inverse[1, 0] * columns + inverse[1, 1] * rows
        mask[top:bottom, left:right] = across**2 + along**2 <= 1.0
        return mask
