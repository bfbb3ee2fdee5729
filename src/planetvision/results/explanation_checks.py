"""`ExplanationChecks`, `ExplanationVerdict`: whether maps can be believed, and what they show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from planetvision.core.errors import count
from planetvision.core.text import format_share

if TYPE_CHECKING:
    import pandas as pd


# A uniform map has its body's share of the energy, but for rounding.
ROUNDING = 1e-6
FIGURES = ("energy_on_body", "body_share", "deletion", "insertion", "stability", "randomized")

_LEVEL = 0.05
# Of fewer not even a "yes" from every image is beyond chance: 0.5 ** 4 is over the level.
_MIN_TRIALS = 5


@dataclass(frozen=True, kw_only=True, eq=False)
class ExplanationChecks:
    """The figures of each map, an array of float64 (N,) each; NaN is what could not be measured.

    Args:
        energy_on_body: The share of the map's sum that lies on the body, in [0, 1].
        body_share: The share of the frame that the body covers: the energy of a uniform map.
        deletion: The area under the target's probability as what the map marks most is taken away
            first, in [0, 1]; a good map has little.
        insertion: The area as it is brought in first; a good map has much.
        stability: The rank correlation with the maps of the image moved by a few pixels.
        randomized: The rank correlation with the maps of networks with shuffled weights.
        deletion_curves: The probability itself, after each step, (N, steps + 1); None where nothing
            was taken away.
        insertion_curves: Likewise, as it is brought in.
    """

    energy_on_body: npt.NDArray[np.float64]
    body_share: npt.NDArray[np.float64]
    deletion: npt.NDArray[np.float64]
    insertion: npt.NDArray[np.float64]
    stability: npt.NDArray[np.float64]
    randomized: npt.NDArray[np.float64]
    deletion_curves: npt.NDArray[np.float64] | None = None
    insertion_curves: npt.NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.energy_on_body)

    def to_frame(self) -> pd.DataFrame:
        """Returns one row per image, one column per figure."""
        import pandas as pd

        return pd.DataFrame(self.to_figures())

    def to_figures(self) -> dict[str, list[float]]:
        """Returns each figure of all images, by name."""
        return {name: getattr(self, name).tolist() for name in FIGURES}

    @classmethod
    def create_unmeasured(cls, num_images: int, num_steps: int) -> ExplanationChecks:
        """Returns the figures of maps of which none is known yet.

        Args:
            num_images: How many maps there are.
            num_steps: How many steps the curves have; 0 for no curves.
        """
        curves = [
            np.full((num_images, num_steps + 1), np.nan) if num_steps else None for _ in range(2)
        ]
        return cls(
            **{name: np.full(num_images, np.nan) for name in FIGURES},
            deletion_curves=curves[0],
            insertion_curves=curves[1],
        )

    def select(self, rows: Sequence[int]) -> ExplanationChecks:
        """Returns the figures of some of the maps, in this order."""
        chosen = {name: getattr(self, name)[list(rows)] for name in FIGURES}
        curves = [
            values if values is None else values[list(rows)]
            for values in (self.deletion_curves, self.insertion_curves)
        ]
        return ExplanationChecks(**chosen, deletion_curves=curves[0], insertion_curves=curves[1])

    def put(self, rows: Sequence[int], measured: ExplanationChecks) -> None:
        """Sets the figures of some of the maps.

        Args:
            rows: Which.
            measured: Theirs, in that order.
        """
        for field in fields(self):
            place, values = getattr(self, field.name), getattr(measured, field.name)
            if place is not None and values is not None:
                place[list(rows)] = values


@dataclass(frozen=True, kw_only=True)
class SignTest:
    """A question that each image answers with yes or no.

    Args:
        wins: How many say yes.
        trials: How many answer it.
        p_value: How likely at least as many would say yes if it were a matter of chance (a
            one-sided sign test); None without any.
    """

    wins: int
    trials: int
    p_value: float | None

    @property
    def answer(self) -> Literal["yes", "perhaps", "no", "too few"]:
        """What they say together.

        `too few` if less than five answer, `yes` if the p-value is 0.05 or less, `perhaps` if more
        than half say yes, else `no`.
        """
        if self.trials < _MIN_TRIALS:
            return "too few"
        if self.p_value is not None and self.p_value <= _LEVEL:
            return "yes"
        return "perhaps" if self.wins > self.trials / 2 else "no"


@dataclass(frozen=True, kw_only=True)
class ExplanationVerdict:
    """What the figures of all maps say together. Figures are medians, None if never measured.

    Args:
        num_images: How many maps there were.
        energy_on_body: The share of a map's sum that lies on the body.
        body_share: What it would be by chance: the share of the frame that the body covers.
        num_background: On how many images the body is colder than what is around it.
        deletion: The area under the curve of deletion.
        insertion: The area under the curve of insertion.
        stability: The similarity to the map of the image moved by a few pixels.
        randomized: The similarity to the map of a network with shuffled weights.
        weights: Whether maps are clearly less like those of shuffled weights than those of the
            moved image.
        evidence: Whether insertion is clearly larger than deletion.
        body: Whether more of the energy lies on the body than by chance.
    """

    num_images: int
    energy_on_body: float | None
    body_share: float | None
    num_background: int
    deletion: float | None
    insertion: float | None
    stability: float | None
    randomized: float | None
    weights: SignTest
    evidence: SignTest
    body: SignTest

    @property
    def belief(self) -> Literal["yes", "in part", "no", "not known"]:
        """Whether the maps can be believed.

        `yes` if they follow the weights and the answer hangs on what they mark; `no` if they do not
        follow the weights, or neither is sure and one is not so; `in part` if one is sure; else
        `not known`. Where they lie is no reason to believe them or not: maps on the background are
        what a network that relies on it should have.
        """
        answers = (self.weights.answer, self.evidence.answer)
        if answers == ("yes", "yes"):
            return "yes"
        if self.weights.answer == "no":
            return "no"
        if "yes" in answers:
            return "in part"
        return "no" if "no" in answers else "not known"

    @property
    def sentence(self) -> str:
        """The verdict and its reasons, as text."""
        lead = {
            "yes": "The maps can be believed",
            "in part": "The maps can be believed only in part",
            "no": "The maps cannot be believed",
            "not known": "Whether the maps can be believed is not known",
        }[self.belief]
        if self.belief == "yes" and self.body.answer == "no":
            lead += ", and show a network that relies on the background"
        return f"{lead}: {self._describe_weights()}; {self._describe_evidence()}; " + (
            f"{self._describe_body()}."
        )

    def __str__(self) -> str:
        return self.sentence

    def to_dict(self) -> dict[str, Any]:
        """Returns the whole as JSON can hold it."""
        return {**asdict(self), "belief": self.belief, "sentence": self.sentence}

    def _describe_weights(self) -> str:
        what = {
            "yes": "they follow the network's weights",
            "perhaps": "they may follow the network's weights",
            "no": "they do not follow the network's weights",
            "too few": "whether they follow the network's weights",
        }[self.weights.answer]
        facts = [
            _format("similarity to the map of the moved image", self.stability),
            _format("to that of shuffled weights", self.randomized),
        ]
        return _describe(what, facts, self.weights)

    def _describe_evidence(self) -> str:
        what = {
            "yes": "the answer hangs on what they mark",
            "perhaps": "the answer may hang on what they mark",
            "no": "the answer does not hang on what they mark",
            "too few": "whether the answer hangs on what they mark",
        }[self.evidence.answer]
        facts = [_format("insertion", self.insertion), _format("deletion", self.deletion)]
        return _describe(what, facts, self.evidence)

    def _describe_body(self) -> str:
        background = f"they lie on the background in {self.num_background} of these images"
        what = {
            "yes": "they lie on the body",
            "perhaps": "they may lie on the body",
            "no": background if self.num_background else "they do not lie on the body",
            "too few": "whether they lie on the body",
        }[self.body.answer]
        facts = []
        if self.energy_on_body is not None and self.body_share is not None:
            facts = [
                f"{format_share(self.energy_on_body)} of their energy is there",
                f"by chance {format_share(self.body_share)}",
            ]
        return _describe(what, facts, self.body)


def _format(name: str, value: float | None) -> str:
    return "" if value is None else f"{name} {value:.2f}"


def _describe(what: str, facts: list[str], comparison: SignTest) -> str:
    known = ", ".join(fact for fact in facts if fact)
    wins, trials = comparison.wins, comparison.trials
    if not trials:
        return f"{what} could not be measured" + (f" ({known})" if known else "")
    if comparison.answer == "too few":
        return f"{what} takes {_MIN_TRIALS} images to say ({known}; {count(trials, 'image')})"
    return f"{what} ({known}; {wins} of {count(trials, 'image')})"
