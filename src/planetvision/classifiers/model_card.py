"""Model card: the Markdown description of a saved model."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from planetvision.core.errors import count
from planetvision.core.renamed import rename_config
from planetvision.core.text import format_interval, format_share
from planetvision.data.catalog import SPLIT_NAMES
from planetvision.models.backbones.first_weights import format_weights
from planetvision.results.predictions import UNKNOWN

_TAGS = ("planetvision", "image-classification", "astronomy", "solar-system", "planets")
# Licences of weights in https://huggingface.co/docs/hub/repositories-licenses.
_LICENCES = (
    "apache-2.0",
    "mit",
    "bsd-2-clause",
    "bsd-3-clause",
    "cc0-1.0",
    "cc-by-4.0",
    "cc-by-sa-4.0",
    "cc-by-nc-4.0",
    "cc-by-nc-sa-4.0",
    "cc-by-nc-nd-4.0",
    "cc-by-nd-4.0",
)
# Shares of fewer images are uncertain: the interval of 10 correct of 10 starts at 72 %.
_FEW_IMAGES = 10
_A_POINT = 0.01


class _Verbatim(str):
    """Markdown that is not escaped."""

    __slots__ = ()


def render_card(config: Mapping[str, Any], *, threshold: float | None = None) -> str:
    """Returns the card of a saved model as Markdown, with front matter for the Hugging Face hub.

    Values that an earlier version did not record read "not recorded".

    Args:
        config: The content of the model's `config.json`, of any format version.
        threshold: The OOD threshold at the model's rejection rate; infinite if no image is unknown,
            None if it is not known.

    References:
        Mitchell, M., et al. (2019), "Model Cards for Model Reporting", FAT* '19,
        doi:10.1145/3287560.3287596.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("planetvision.classifiers"),
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        verbatim=_Verbatim,
        code=_format_code,
        share=_format_share,
        scores=_format_scores,
        percent=_format_percent,
    )
    return environment.get_template("model_card.md").render(**_collect(config, threshold))


def _collect(config: Mapping[str, Any], threshold: float | None) -> dict[str, Any]:
    """Returns the variables of the template; None stands for "not recorded"."""
    config = rename_config(config)
    classes = [str(label) for label in config.get("classes", ())]
    backbone, calibrator, data = (config.get(name) or {} for name in ("backbone", "trust", "data"))
    metrics, settings, recipe = (
        config.get(name) or {} for name in ("metrics", "settings", "recipe")
    )
    test = metrics.get("test") or {}
    elsewhere = list(metrics.get("elsewhere") or ())
    weights = backbone.get("weights") or None
    initial_model = data.get("initial_model") or {}
    origins = list(weights.values()) if isinstance(weights, Mapping) else [weights or ""]
    is_random = set(origins) == {"none"}
    # The licence is that of the registered weights. It is unknown for a file or another model, and
    # random weights have none.
    is_registered = all(origins) and not any(origin.startswith("file ") for origin in origins)
    is_registered = is_registered and not is_random and not initial_model
    licence = (backbone.get("licence") or None) if is_registered else None
    stages = recipe.get("stages") or ()
    return {
        "classes": classes,
        "license_id": _find_licence(licence),
        "tags": _TAGS,
        "has_scores": bool(test or elsewhere),
        "format_version": config.get("format_version"),
        "backbone": backbone.get("name"),
        "weights": None if weights is None else format_weights(weights),
        "weights_setting": json.dumps(_get_weights_setting(weights)),
        "licence": "none: it started from random weights" if is_random else licence,
        "head": config.get("head") or {},
        "recipe": recipe.get("name"),
        "augmentation": recipe.get("augmentation"),
        "stages": [(stage["name"], count(stage["epochs"], "epoch")) for stage in stages],
        "input": {
            name: (config.get("preprocessing") or {}).get(name)
            for name in ("image_size", "framing", "stretch", "tta")
        },
        "data": data,
        "initial_model": initial_model,
        "has_negatives": bool(data.get("negatives")),
        "others_remark": _tell_others(data),
        "fit_arguments": _list_fit_arguments(data),
        "class_map": settings.get("class_map") or (),
        "parts": _count_parts(data, classes),
        "split_remarks": list(_tell_split(data.get("split") or {})),
        "num_val": metrics.get("num_val"),
        "val_accuracy": metrics.get("val_accuracy"),
        "val_chose": any(stage.get("monitor", "loss") != "none" for stage in stages),
        "test": test,
        "elsewhere": elsewhere,
        "trust": calibrator,
        "temperature": f"{calibrator['temperature']:.3g}" if calibrator else None,
        "rate": settings.get("rejection_rate"),
        "threshold": _tell_threshold(threshold),
        "is_bounded": _is_bounded(settings.get("rejection_rate"), calibrator.get("num_images")),
        "unknown": UNKNOWN,
        "limits": list(_list_limits(data, metrics, classes)),
        "versions": config.get("versions") or {},
        "settings": settings,
    }


def _count_parts(data: Mapping[str, Any], classes: Sequence[str]) -> list[tuple[str, list[int]]]:
    """Returns the number of images in each split, per class and in total."""
    parts = data.get("parts")
    if not parts:
        return []
    rows = [(name, [parts[part].get(name, 0) for part in SPLIT_NAMES]) for name in classes]
    return [*rows, ("all", [sum(column) for column in zip(*(row for _, row in rows), strict=True)])]


def _tell_split(split: Mapping[str, Any]) -> Iterator[str]:
    """Yields sentences on how the data were split."""
    if not split:
        return
    val, test, seed = (split[name] for name in ("val_fraction", "test_fraction", "seed"))
    given = split["given"]
    if given:
        yield f"The data came with these splits: {', '.join(given)}."
        if "val" not in given:
            yield (
                f"The validation split was taken from the training split ({_format_percent(val)}), "
                f"by class and with the seed {seed}."
            )
    else:
        tested = f"{_format_percent(test)} for testing" if test else "none for testing"
        yield (
            f"The images were split by class and with the seed {seed}: {_format_percent(val)} for "
            f"validation, {tested}, the rest for training."
        )
    if split["has_groups"]:
        kept = "" if "val" in given else "; images of one group are in one split"
        yield f"The data have groups{kept}."
    else:
        yield "The data have no groups."
    if not split["group_duplicates"]:
        yield "Near-duplicates were not searched, and may be in different splits."
    elif not split["num_copies"]:
        yield "Near-duplicates were searched, and none were found."
    else:
        pairs, across = count(split["num_copies"], "pair"), split["num_copies_across"]
        apart = f"{across} of them in different splits" if across else "each within one split"
        yield f"Near-duplicates were searched: {pairs} found, {apart}."


def _tell_others(data: Mapping[str, Any]) -> str | None:
    """Returns sentences on the negatives; None if they are not recorded."""
    if "negatives" not in data:
        return None
    negatives = data["negatives"]
    if negatives is None:
        return "It was trained without negatives."
    origins = ", ".join(negatives["origins"])
    given = f"{count(negatives['num_images'], 'image')} that show none of the classes ({origins})"
    if not negatives["weight"]:
        return (
            f"Negatives: {given}. The network was not trained with them (weight 0), but the OOD "
            "score may have been fitted with them."
        )
    return (
        f"Negatives: {given}. The network was trained to give each class the same probability for "
        f"them, with the weight {negatives['weight']:g} relative to an image of a class."
    )


def _list_fit_arguments(data: Mapping[str, Any]) -> list[str]:
    """Returns the arguments of `fit` besides the data, with placeholders as values."""
    named = (("negatives", "NEGATIVES"), ("init_from", "START"))
    given = (data.get("negatives"), data.get("initial_model"))
    return [f'{name}="{value}"' for (name, value), one in zip(named, given, strict=True) if one]


def _list_limits(
    data: Mapping[str, Any], metrics: Mapping[str, Any], classes: Sequence[str]
) -> Iterator[str]:
    """Yields sentences on the limits of the scores and of the model."""
    yield (
        f"It knows its {len(classes)} classes and no other body. Any other image gets the most "
        f"probable of them, unless its OOD score makes it '{UNKNOWN}'."
    )
    test = metrics.get("test") or {}
    given = (data.get("split") or {}).get("given") or []
    if not test:
        yield "No score on a test split is recorded, so its accuracy is not known."
    else:
        yield (
            f"The test split has {count(test['n'], 'image')}: the accuracy on similar images can "
            f"be anywhere from {format_interval(test['accuracy_ci95'])}."
        )
    if test and not given:
        source = f"'{data['origin']}', as" if data else "the same source as"
        yield (
            f"The test split is from {source} the training images: on images from another camera, "
            "telescope or renderer the accuracy can be much lower."
        )
    elif test:
        yield (
            "The test split came with the data: whether it is from another source than the "
            "training images is not recorded."
        )
    elsewhere = metrics.get("elsewhere") or ()
    # In a folder that includes the test split, most images but not all were used in training.
    if all((scores.get("num_learned") or 0) >= scores["n"] / 2 for scores in elsewhere):
        yield "No measurement on images from another source is recorded."
    else:
        yield (
            "Whether images given to evaluate() are from another source than the training images "
            "is not recorded."
        )
    tested = (data.get("parts") or {}).get("test") or {}
    few = [name for name in classes if tested and tested.get(name, 0) < _FEW_IMAGES]
    if few:
        named = ", ".join(f"{name} ({tested.get(name, 0)})" for name in few)
        yield f"Of some classes there are fewer than {_FEW_IMAGES} test images: {named}."
    yield from _compare_with_baselines(data.get("baselines") or {}, metrics)
    yield (
        "Confidence is calibrated on images of the same source as the training images, if at all. "
        "On other images it is usually too high."
    )


def _compare_with_baselines(
    baselines: Mapping[str, Any], metrics: Mapping[str, Any]
) -> Iterator[str]:
    accuracy = metrics.get("val_accuracy")
    if accuracy is None or baselines.get("scored") != "val":
        return
    near = [one for one in baselines["scores"] if one["accuracy"] >= accuracy - _A_POINT]
    if near:
        named = ", ".join(f"{one['name']} {format_share(one['accuracy'])}" for one in near)
        yield (
            f"On the validation split trivial baselines reach the network "
            f"({format_share(accuracy)}) or come within a point of it: {named}. These images "
            "cannot show what the network adds."
        )


def _tell_threshold(threshold: float | None) -> str | None:
    if threshold is None:
        return None
    return "none: nothing is called unknown" if math.isinf(threshold) else f"{threshold:.3g}"


def _is_bounded(rate: float | None, num_images: int | None) -> bool:
    """Returns whether there are enough images for the rate to bound the rejected share."""
    return bool(rate) and num_images is not None and num_images >= 1 / float(rate or 1) - 1


def _find_licence(licence: str | None) -> str | None:
    """Returns the hub's identifier of a licence, or None."""
    name = (licence or "").lower().partition(" (")[0]
    return name if name in _LICENCES else None


def _get_weights_setting(weights: str | Mapping[str, str] | None) -> str | dict[str, str]:
    """Returns the setting `weights`, with FILE for files."""
    if isinstance(weights, Mapping):
        return {name: str(_get_weights_setting(origin)) for name, origin in weights.items()}
    if weights == "none":
        return "none"
    return "FILE" if weights is not None and weights.startswith("file ") else "pretrained"


def _finalize(value: object) -> str:
    """Returns a value as Markdown."""
    if isinstance(value, _Verbatim):
        return value
    return "not recorded" if value is None else _escape(str(value))


def _escape(text: str) -> str:
    """Returns the text as Markdown on one line, with special characters escaped."""
    text = text.encode(errors="backslashreplace").decode()
    text = "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
    text = re.sub(r"([\\`*_\[\]#|~$!])", r"\\\1", text)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _format_code(value: object) -> _Verbatim:
    """Returns a name as inline code, if it has only safe characters."""
    if value is not None and re.fullmatch(r"[\w.:+/@ -]*\w[\w.:+/@ -]*", str(value)):
        return _Verbatim(f"`{value}`")
    return _Verbatim(_finalize(value))


def _format_share(value: float | None) -> str | None:
    return None if value is None else format_share(value)


def _format_percent(value: float | None) -> str | None:
    return None if value is None else f"{100 * value:g} %"


def _format_scores(scores: Mapping[str, Any]) -> _Verbatim:
    """Returns the cells of a table row."""
    interval = scores.get("accuracy_ci95")
    cells = [
        scores["n"],
        round(scores["accuracy"] * scores["n"]),
        format_share(scores["accuracy"]),
        None if interval is None else format_interval(interval),
        *(
            f"{scores[name]:.3f}" if _is_number(scores.get(name)) else None
            for name in ("balanced_accuracy", "macro_f1")
        ),
        _format_share(scores.get("ece")),
    ]
    return _Verbatim(" | ".join(_finalize(cell) for cell in cells))


def _is_number(value: object) -> bool:
    return isinstance(value, float | int) and math.isfinite(value)
