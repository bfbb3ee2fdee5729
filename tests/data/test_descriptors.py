"""Descriptors: the views by which near-duplicates are compared."""

from __future__ import annotations

import cv2
import numpy as np

from planetvision.data import describe_image, find_duplicates


def test_close_up_without_a_body_is_described_whole() -> None:
    noise = np.random.default_rng(0).integers(120, 255, (12, 12, 3), np.uint8)
    image = cv2.resize(noise, (120, 120), interpolation=cv2.INTER_CUBIC)
    close_up = np.asarray(image, np.uint8)
    descriptor = describe_image(close_up)
    assert not descriptor.has_body
    darker = describe_image((close_up * 0.8).astype(np.uint8))
    assert len(find_duplicates([descriptor, darker])) == 1


def test_globe_and_dim_rings_have_a_view_of_each() -> None:
    image = np.zeros((200, 200, 3), np.uint8)
    cv2.ellipse(image, (100, 100), (85, 70), 20, 0, 360, (60, 60, 60), 18)
    cv2.circle(image, (100, 100), 30, (230, 210, 160), -1)
    globe, whole = describe_image(image).views
    # The corners of the narrow view are ring; those of the wide one are sky.
    assert (globe.max(axis=2) > 100).sum() > 2 * (whole.max(axis=2) > 100).sum()
    bare = image.copy()
    bare[image[..., 0] == 60] = 0
    assert len(describe_image(bare).views) == 1
