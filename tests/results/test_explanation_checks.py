"""Checks of explanations as data: answers, sentences, tables."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from planetvision.results import ExplanationChecks, ExplanationVerdict, SignTest

YES = SignTest(wins=8, trials=8, p_value=1 / 256)
PERHAPS = SignTest(wins=5, trials=6, p_value=7 / 64)
NO = SignTest(wins=1, trials=8, p_value=255 / 256)
FEW = SignTest(wins=2, trials=2, p_value=1 / 4)
NONE = SignTest(wins=0, trials=0, p_value=None)


def create_verdict(**values: Any) -> ExplanationVerdict:
    figures: dict[str, Any] = {
        "num_images": 8,
        "energy_on_body": 0.714,
        "body_share": 0.31,
        "num_background": 0,
        "deletion": 0.21,
        "insertion": 0.94,
        "stability": 0.97,
        "randomized": -0.18,
        "weights": YES,
        "evidence": YES,
        "body": YES,
    }
    return ExplanationVerdict(**{**figures, **values})


@pytest.mark.parametrize(
    ("wins", "trials", "p_value", "answer"),
    [
        (5, 5, 1 / 32, "yes"),
        (4, 4, 1 / 16, "too few"),
        (0, 1, 1.0, "too few"),
        (5, 6, 7 / 64, "perhaps"),
        (3, 6, 42 / 64, "no"),
    ],
)
def test_answer_is_that_of_the_rule(wins: int, trials: int, p_value: float, answer: str) -> None:
    assert SignTest(wins=wins, trials=trials, p_value=p_value).answer == answer


def test_sentence_gives_judgement_figures_and_numbers_of_images() -> None:
    assert str(create_verdict()) == (
        "The maps can be believed: they follow the network's weights (similarity to the map of the "
        "moved image 0.97, to that of shuffled weights -0.18; 8 of 8 images); the answer hangs on "
        "what they mark (insertion 0.94, deletion 0.21; 8 of 8 images); they lie on the body "
        "(71.4% of their energy is there, by chance 31.0%; 8 of 8 images)."
    )


@pytest.mark.parametrize(
    ("weights", "evidence", "belief", "lead"),
    [
        (YES, YES, "yes", "The maps can be believed: "),
        (YES, PERHAPS, "in part", "The maps can be believed only in part: "),
        (YES, NO, "in part", "The maps can be believed only in part: "),
        (NONE, YES, "in part", "The maps can be believed only in part: "),
        (NO, YES, "no", "The maps cannot be believed: "),
        (PERHAPS, NO, "no", "The maps cannot be believed: "),
        (PERHAPS, PERHAPS, "not known", "Whether the maps can be believed is not known: "),
        (FEW, FEW, "not known", "Whether the maps can be believed is not known: "),
    ],
)
def test_belief_and_its_words_are_those_of_the_rule(
    weights: SignTest, evidence: SignTest, belief: str, lead: str
) -> None:
    verdict = create_verdict(weights=weights, evidence=evidence)
    assert verdict.belief == belief
    assert verdict.sentence.startswith(lead)


def test_believed_maps_on_the_background_speak_against_the_network() -> None:
    verdict = create_verdict(body=NO, num_background=7)
    assert verdict.sentence.startswith(
        "The maps can be believed, and show a network that relies on the background: "
    )
    assert "they lie on the background in 7 of these images" in verdict.sentence
    doubtful = create_verdict(body=NO, num_background=7, weights=NO)
    assert "relies on the background" not in doubtful.sentence


def test_sentence_of_one_image_without_a_body_says_what_is_missing() -> None:
    one = SignTest(wins=1, trials=1, p_value=0.5)
    verdict = create_verdict(
        num_images=1, weights=one, evidence=one, body=NONE, energy_on_body=None, body_share=None
    )
    assert verdict.sentence == (
        "Whether the maps can be believed is not known: whether they follow the network's weights "
        "takes 5 images to say (similarity to the map of the moved image 0.97, to that of shuffled "
        "weights -0.18; 1 image); whether the answer hangs on what they mark takes 5 images to say "
        "(insertion 0.94, deletion 0.21; 1 image); whether they lie on the body could not be "
        "measured."
    )


def test_dictionary_can_be_written_as_json_with_judgement_and_answers() -> None:
    written = json.loads(json.dumps(create_verdict(body=NONE).to_dict(), allow_nan=False))
    assert written["belief"] == "yes"
    assert written["weights"] == {"wins": 8, "trials": 8, "p_value": 1 / 256}
    assert written["body"]["p_value"] is None
    assert written["sentence"].startswith("The maps can be believed")


def test_frame_has_a_row_an_image_and_a_column_a_figure() -> None:
    names = ["energy_on_body", "body_share", "deletion", "insertion", "stability", "randomized"]
    values = {name: np.array([number / 10, np.nan]) for number, name in enumerate(names)}
    checks = ExplanationChecks(**values)
    frame = checks.to_frame()
    assert list(frame.columns) == names
    assert len(checks) == len(frame) == 2
    assert frame.iloc[0].tolist() == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]
    assert frame.iloc[1].isna().all()
