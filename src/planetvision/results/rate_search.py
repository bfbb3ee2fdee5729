"""`RateSearch`: how the loss changes while the learning rate rises."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from planetvision.core.files import create_output_folder, write_table

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True)
class RateSearch:
    """The result of a learning-rate range test.

    Args:
        stage: The stage whose learning rate was raised.
        rates: The learning rate of the head at each step.
        losses: The smoothed training loss at each step.
        suggestion: A good peak rate: where the loss falls fastest, before its minimum.
    """

    stage: str
    rates: tuple[float, ...]
    losses: tuple[float, ...]
    suggestion: float

    def to_frame(self) -> pd.DataFrame:
        """Returns one row per step: `learning_rate`, `loss`."""
        import pandas as pd

        return pd.DataFrame({"learning_rate": self.rates, "loss": self.losses})

    def plot(self) -> Figure:
        """Returns the loss over the learning rate, with the suggestion marked."""
        from planetvision.results.plots.training import plot_rate_search

        return plot_rate_search(self.to_frame(), suggestion=self.suggestion)

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Writes `learning_rates.csv` and `learning_rates.png`, and returns the folder.

        Args:
            path: The folder, which must be new or empty.
            overwrite: Whether files in it may be replaced.

        Raises:
            OutputExistsError: If it is not empty and `overwrite` is false.
        """
        from planetvision.results.plots.style import save_figure

        folder = create_output_folder(path, overwrite=overwrite)
        write_table(folder / "learning_rates.csv", self.to_frame())
        save_figure(self.plot(), folder / "learning_rates.png")
        return folder
