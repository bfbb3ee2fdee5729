"""`Catalog`: one row an image, whatever it came from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar

from planetvision.data.images import ImageSource, describe_source

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SPLIT_NAMES", "Catalog", "Label", "SplitName"]

Label: TypeAlias = "str | int"
T = TypeVar("T")
SplitName = Literal["train", "val", "test"]
SPLIT_NAMES: tuple[SplitName, ...] = ("train", "val", "test")


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """Images with, where known, their labels and the part of the data that each belongs to.

    Args:
        sources: Where each image is, or the image itself.
        labels: The label of each image; None where none are known.
        splits: `train`, `val` or `test` for each image; None before the data are split.
        origin: What messages call the whole.
    """

    sources: tuple[ImageSource, ...]
    labels: tuple[Label, ...] | None = None
    splits: tuple[SplitName, ...] | None = None
    origin: str = "the data"

    def __len__(self) -> int:
        return len(self.sources)

    @property
    def names(self) -> list[str]:
        """What tables and messages call each image: its path, or its kind and index."""
        return [describe_source(source, index) for index, source in enumerate(self.sources)]

    @property
    def classes(self) -> list[Label]:
        """The different labels, sorted."""
        return sorted(set(self.labels or ()), key=lambda label: (str(type(label)), label))

    @property
    def counts(self) -> dict[Label, int]:
        """The number of images of each class, in the order of `classes`."""
        counted = Counter(self.labels or ())
        return {label: counted[label] for label in self.classes}

    def select(self, indices: Iterable[int]) -> Catalog:
        """Returns the catalog of these rows, in this order."""
        rows = list(indices)

        def pick(values: Sequence[T]) -> tuple[T, ...]:
            return tuple(values[row] for row in rows)

        return replace(
            self,
            sources=pick(self.sources),
            labels=None if self.labels is None else pick(self.labels),
            splits=None if self.splits is None else pick(self.splits),
        )

    def part(self, split: SplitName) -> Catalog:
        """Returns the rows of one split."""
        return self.select(row for row, name in enumerate(self.splits or ()) if name == split)

    def to_frame(self) -> pd.DataFrame:
        """Returns the manifest: one row an image with `path`, `label` and `split`."""
        import pandas as pd

        return pd.DataFrame(
            {
                "path": self.names,
                "label": list(self.labels) if self.labels is not None else None,
                "split": list(self.splits) if self.splits is not None else None,
            }
        )
