"""`Verification`: whether a model's folder is as it was saved, and scores as it did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from planetvision.core.errors import itemize

if TYPE_CHECKING:
    import pandas as pd

    from planetvision.results.evaluation import Evaluation


@dataclass(frozen=True, kw_only=True)
class Check:
    """One check.

    Args:
        subject: What kind of thing it is.
        name: Which one.
        result: How it was found, in a few words.
        problem: What is wrong, and what to do about it; empty where nothing is.
        note: What is good to know and no problem.
    """

    subject: Literal["file", "model", "version", "scores"]
    name: str
    result: str
    problem: str = ""
    note: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Verification:
    """Whether a model's folder is as it was saved.

    Args:
        folder: The model's folder.
        checks: The checks: files, loading, versions that differ, scores.
        evaluation: The scores on the data that were given; None without any.
    """

    folder: str
    checks: tuple[Check, ...]
    evaluation: Evaluation | None = None

    @property
    def is_intact(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    @property
    def problems(self) -> list[str]:
        """What is wrong, a sentence or two each."""
        return [check.problem for check in self.checks if check.problem]

    @property
    def notes(self) -> list[str]:
        """What is good to know and no problem."""
        return [check.note for check in self.checks if check.note]

    def __str__(self) -> str:
        if not self.is_intact:
            number = len(self.problems)
            heading = "not intact:" if number == 1 else f"not intact, {number} problems:"
            return itemize(heading, self.problems, limit=number)
        told = [check for check in self.checks if check.subject == "file"]
        intact = sum(check.result == "intact" for check in told)
        files = f"{intact} files are as they were saved" if intact else "no hashes to compare with"
        said = f"; {self.evaluation}" if self.evaluation else ""
        return f"intact: {files}; the model loads{said}"

    def __repr__(self) -> str:
        return f"<Verification of '{self.folder}': {self}>"

    def to_frame(self) -> pd.DataFrame:
        """Returns one row per check with `subject,name,result,problem,note`."""
        import pandas as pd

        columns = ["subject", "name", "result", "problem", "note"]
        rows = [[getattr(check, name) for name in columns] for check in self.checks]
        return pd.DataFrame(rows, columns=columns)
