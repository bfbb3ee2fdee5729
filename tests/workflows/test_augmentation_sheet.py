"""The sheet of what a policy makes of one image."""

from __future__ import annotations

import numpy as np
import pytest

from planetvision.core.errors import SettingsError, UnknownNameError
from planetvision.render import render_body
from planetvision.workflows.augmentation_sheet import draw_policy

IMAGE = render_body("saturn", image_size=64, seed=2).image


def test_sheet_has_the_image_and_the_views() -> None:
    small, large = (draw_policy(IMAGE, "celestial", count=count, image_size=32) for count in (2, 8))
    assert small.dtype == np.uint8
    # Three tiles in one row, and nine in two.
    assert large.shape[0] > 1.5 * small.shape[0]
    np.testing.assert_array_equal(
        small[:, : small.shape[1] // 2], large[: small.shape[0], : small.shape[1] // 2]
    )


def test_sheet_depends_on_policy_and_seed() -> None:
    first, again, other_seed, other_policy = (
        draw_policy(IMAGE, policy, count=3, image_size=32, seed=seed)
        for policy, seed in (("light", 0), ("light", 0), ("light", 1), ("strong", 0))
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other_seed)
    assert not np.array_equal(first, other_policy)


def test_views_of_the_policy_none_are_the_image() -> None:
    sheet = draw_policy(IMAGE, "none", count=1, image_size=64)
    # Nothing but the captions tells the two tiles apart.
    tiles = [sheet[60:200, left : left + 200].astype(int) for left in (20, 258)]
    assert np.abs(tiles[0] - tiles[1]).mean() < 3


@pytest.mark.parametrize("count", [0, -1, 1.5, True])
def test_wrong_count_is_refused(count: object) -> None:
    with pytest.raises(SettingsError, match=r"`count` must be a whole number of at least 1, got"):
        draw_policy(IMAGE, "light", count=count)  # type: ignore[arg-type]


def test_unknown_policy_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"Did you mean 'celestial'\?"):
        draw_policy(IMAGE, "celestal")
