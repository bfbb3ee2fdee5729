"""Checks of explanations: figures worked by hand, and planted networks that must be found out."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch import nn

from planetvision.core.settings import InputSpec
from planetvision.explain.checks import (
    check_explanations,
    compare_maps,
    create_body_masks,
    judge_explanations,
    measure_area,
    measure_body_share,
    measure_curves,
    measure_energy,
    measure_stability,
    randomize_network,
)
from planetvision.explain.checks.similarity import resize_maps
from planetvision.explain.gradcam import compute_gradcam
from planetvision.imaging.disc.finder import find_body
from planetvision.models.backbones.registry import BACKBONES
from planetvision.models.backbones.spec import BackboneSpec
from planetvision.models.network import PlanetNet, create_network
from planetvision.render import render_body
from planetvision.results import ExplanationChecks

SIZE = 32
FIRST = torch.zeros(1, dtype=torch.int64)


def build(name: str = "tiny", size: int = SIZE, num_classes: int = 2) -> PlanetNet:
    spec = replace(BACKBONES.get(name).input, image_size=size)
    return create_network(
        name, num_classes=num_classes, weights="none", input_spec=spec, seed=0
    ).eval()


def create_noise(count: int = 4, size: int = SIZE, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8, generator=generator)


def follow_brightness(
    network: PlanetNet, images: torch.Tensor, targets: torch.Tensor
) -> torch.Tensor:
    """An explainer that looks at the image and never at the network."""
    return images.float().mean(dim=1)


class Spot(nn.Module):
    """Its one feature is the brightness of four pixels, rows and columns 10 and 11."""

    def __init__(self) -> None:
        super().__init__()
        self.passes: list[int] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.passes.append(len(images))
        return images[:, :, 10:12, 10:12].mean(dim=(1, 2, 3))[:, None]


@pytest.fixture
def spot_network() -> PlanetNet:
    """Class 0 is for the spot, class 1 against."""
    spec = BackboneSpec(
        name="spot",
        build=Spot,
        summary="",
        input=InputSpec(image_size=SIZE, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)),
    )
    head = nn.Linear(1, 2)
    head.weight.data = torch.tensor([[50.0], [-50.0]])
    head.bias.data = torch.tensor([-25.0, 25.0])
    return PlanetNet(Spot(), head, input_spec=spec.input, spec=spec).eval()


def create_spot() -> torch.Tensor:
    image = torch.zeros(1, 3, SIZE, SIZE, dtype=torch.uint8)
    image[:, :, 10:12, 10:12] = 255
    return image


# Energy


def test_map_on_the_body_alone_has_all_its_energy_there() -> None:
    mask = torch.zeros(1, SIZE, SIZE, dtype=torch.bool)
    mask[:, 4:20, 8:30] = True
    assert measure_energy(mask.float() * 7, mask).tolist() == [1.0]
    assert measure_energy((~mask).float(), mask).tolist() == [0.0]


def test_uniform_map_has_the_share_that_the_body_covers() -> None:
    masks = torch.zeros(2, SIZE, SIZE, dtype=torch.bool)
    masks[0, :8] = True
    masks[1, :16, :16] = True
    assert measure_body_share(masks).tolist() == [0.25, 0.25]
    found = measure_energy(torch.full((2, 4, 4), 3.0), masks)
    np.testing.assert_allclose(found, [0.25, 0.25], rtol=1e-6)


def test_coarse_map_is_enlarged_as_the_overlay_enlarges_it() -> None:
    coarse = torch.rand(1, 7, 7, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(1, 224, 224, dtype=torch.bool)
    mask[:, 50:120, 90:200] = True
    drawn = cv2.resize(coarse[0].numpy(), (224, 224), interpolation=cv2.INTER_LINEAR)
    expected = drawn[mask[0].numpy()].sum() / drawn.sum()
    assert measure_energy(coarse, mask)[0] == pytest.approx(expected, rel=1e-4)


def test_energy_without_a_body_or_without_heat_is_not_measured() -> None:
    masks = torch.zeros(3, SIZE, SIZE, dtype=torch.bool)
    masks[1:, :8] = True
    maps = torch.ones(3, 4, 4)
    maps[1] = 0
    maps[2] = torch.nan
    assert np.isnan(measure_energy(maps, masks)).all()
    np.testing.assert_array_equal(measure_body_share(masks), [np.nan, 0.25, 0.25])


def test_masks_are_those_of_the_disc_finder_and_empty_where_it_finds_none() -> None:
    saturn = render_body("saturn", image_size=96, seed=3).image
    images = torch.stack([torch.from_numpy(saturn).permute(2, 0, 1), create_noise(1, 96)[0]])
    masks = create_body_masks(images)
    region = find_body(saturn)
    assert region is not None
    assert region.rings is not None
    np.testing.assert_array_equal(masks[0].numpy(), region.create_mask())
    assert not masks[1].any()


# Deletion and insertion


def test_network_that_looks_at_a_spot_loses_all_at_once_and_gains_all_at_once(
    spot_network: PlanetNet,
) -> None:
    image = create_spot()
    marked = (image[:, 0] > 0).float()
    curves = measure_curves(spot_network, image, FIRST, marked)
    np.testing.assert_allclose(curves.deletion, [[1.0] + [0.0] * 16], atol=1e-6)
    np.testing.assert_allclose(curves.insertion, [[0.0] + [1.0] * 16], atol=1e-6)
    assert measure_area(curves.deletion)[0] == pytest.approx(1 / 32)
    assert measure_area(curves.insertion)[0] == pytest.approx(31 / 32)


def test_what_is_missing_is_gray_and_blurred(spot_network: PlanetNet) -> None:
    seen: list[torch.Tensor] = []
    handle = spot_network.backbone.register_forward_hook(lambda *call: seen.append(call[1][0]))
    image = create_spot()
    image[:, 1:] = 0
    measure_curves(spot_network, image, FIRST, (image[:, 0] > 0).float(), batch_size=1)
    handle.remove()
    gray = cv2.GaussianBlur((image[0, 0] / 3.0).numpy(), (13, 13), 2)
    emptied = seen[16] * 255  # behind the first picture and its sixteen deletions
    np.testing.assert_allclose(emptied[0].numpy(), np.stack([gray] * 3), atol=0.51)
    assert emptied.max() > 3


def test_map_that_marks_everything_else_is_the_other_way_round(spot_network: PlanetNet) -> None:
    image = create_spot()
    curves = measure_curves(spot_network, image, FIRST, (image[:, 0] == 0).float())
    assert measure_area(curves.deletion)[0] == pytest.approx(31 / 32)
    assert measure_area(curves.insertion)[0] == pytest.approx(1 / 32)


def test_deletion_is_the_insertion_of_the_reverse_order() -> None:
    images, targets = create_noise(), torch.tensor([0, 1, 1, 0])
    maps = torch.rand(4, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    network = build()
    there = measure_curves(network, images, targets, maps)
    back = measure_curves(network, images, targets, 1 - maps)
    np.testing.assert_allclose(there.deletion, back.insertion[:, ::-1], atol=1e-6)
    assert np.ptp(there.deletion) > 1e-3


def test_curves_begin_and_end_at_the_image_and_do_not_depend_on_the_batch() -> None:
    images, targets = create_noise(), torch.tensor([0, 1, 1, 0])
    maps = torch.rand(4, 3, 3, generator=torch.Generator().manual_seed(1)).round(decimals=1)
    network = build()
    with torch.no_grad():
        whole = network(images).softmax(dim=1).gather(1, targets[:, None])[:, 0].numpy()
    curves = measure_curves(network, images, targets, maps, steps=5)
    np.testing.assert_allclose(curves.deletion[:, 0], whole, atol=1e-6)
    np.testing.assert_allclose(curves.insertion[:, -1], whole, atol=1e-6)
    one_by_one = measure_curves(network, images, targets, maps, steps=5, batch_size=1)
    np.testing.assert_allclose(one_by_one.deletion, curves.deletion, atol=1e-6)
    np.testing.assert_allclose(one_by_one.insertion, curves.insertion, atol=1e-6)


def test_cost_is_two_passes_a_step_in_batches_of_the_size_asked_for(
    spot_network: PlanetNet,
) -> None:
    images = create_noise(3)
    maps = images[:, 0].float()
    measure_curves(spot_network, images, FIRST.expand(3), maps, steps=8, batch_size=5)
    backbone = spot_network.backbone
    assert isinstance(backbone, Spot)
    assert sum(backbone.passes) == 3 * 2 * 8
    assert max(backbone.passes) == 5


def test_pixels_of_the_same_heat_are_ordered_by_the_seed() -> None:
    images, targets = create_noise(1), FIRST
    maps = torch.zeros(1, 4, 4)
    maps[:, 0, 0] = 1
    network = build()
    first, again, other = (
        measure_curves(network, images, targets, maps, seed=seed).deletion for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other, atol=1e-7)


def test_map_without_an_order_has_no_curves(spot_network: PlanetNet) -> None:
    images = create_spot().expand(3, -1, -1, -1)
    maps = torch.stack(
        [torch.zeros(2, 2), torch.full((2, 2), 3.0), torch.tensor([[1.0, 0], [0, 0]])]
    )
    curves = measure_curves(spot_network, images, FIRST.expand(3), maps)
    assert np.isnan(curves.deletion).all(axis=1).tolist() == [True, True, False]
    assert np.isnan(measure_area(curves.insertion)).tolist() == [True, True, False]


def test_area_is_that_of_the_trapezoids() -> None:
    curves = np.random.default_rng(0).random((5, 9))
    expected = integrate.trapezoid(curves, dx=1 / 8, axis=1)
    np.testing.assert_allclose(measure_area(curves), expected)


# Similarity


def test_similarity_is_the_rank_correlation_of_scipy() -> None:
    generator = torch.Generator().manual_seed(0)
    first = torch.rand(4, 7, 7, generator=generator).round(decimals=1)  # with ties
    second = torch.rand(4, 7, 7, generator=generator)
    second[0], second[1] = first[0] ** 3, -first[1]
    found = compare_maps(first, second)
    ranks = [[stats.rankdata(one.flatten().numpy()) for one in both] for both in (first, second)]
    expected = [np.corrcoef(a, b)[0, 1] for a, b in zip(*ranks, strict=True)]
    np.testing.assert_allclose(found, expected)
    np.testing.assert_allclose(found[:2], [1, -1])


def test_similarity_to_a_map_that_ranks_nothing_is_not_measured() -> None:
    ramp = torch.arange(49.0).reshape(1, 7, 7).expand(4, -1, -1)
    others = torch.zeros(4, 7, 7)
    others[1] = 0.1
    others[2] = torch.nan
    others[3] = ramp[0]
    assert np.isnan(compare_maps(ramp, others)).tolist() == [True, True, True, False]
    # Interpolation of equal values gives values that are equal but for their last digits.
    assert np.isnan(compare_maps(resize_maps(ramp, 30), resize_maps(others, 30))).sum() == 3


def test_map_that_moves_with_the_image_is_stable_and_one_that_does_not_is_not() -> None:
    images, network = create_noise(3), build()
    targets = torch.zeros(3, dtype=torch.int64)
    moving = follow_brightness(network, images, targets)
    found = measure_stability(network, follow_brightness, images, targets, moving)
    np.testing.assert_allclose(found, 1)
    still = torch.rand(3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    found = measure_stability(network, lambda *_: still, images, targets, still)
    assert np.abs(found).max() < 0.1


@pytest.mark.parametrize(("size", "pixels"), [(16, 1), (56, 2)])
def test_images_are_moved_both_ways_before_black(size: int, pixels: int) -> None:
    seen: list[torch.Tensor] = []

    def spy(network: PlanetNet, images: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        seen.append(images)
        return images[:, 0].float()

    images = create_noise(1, size)
    measure_stability(build(), spy, images, FIRST, images[:, 0].float())
    down, up = seen
    assert torch.equal(down[..., pixels:, pixels:], images[..., :-pixels, :-pixels])
    assert torch.equal(up[..., :-pixels, :-pixels], images[..., pixels:, pixels:])
    assert not down[..., :pixels, :].any()
    assert not up[..., -pixels:].any()


# Randomisation


def list_values(network: PlanetNet) -> list[torch.Tensor]:
    return [weights.detach().flatten().sort().values for weights in network.parameters()]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tiny", "timm:resnet10t", "timm:vit_tiny_patch16_224"])
def test_shuffled_weights_keep_the_values_of_each_tensor_and_not_their_order(name: str) -> None:
    network = build(name, num_classes=3)
    shuffled = randomize_network(network, create_noise(), seed=0)
    pairs = list(zip(list_values(network), list_values(shuffled), strict=True))
    assert all(torch.equal(old, new) for old, new in pairs)
    weights = dict(network.named_parameters())
    moved = [
        key
        for key, new in shuffled.named_parameters()
        if torch.unique(weights[key]).numel() > 100 and not torch.equal(weights[key], new)
    ]
    assert len(moved) == sum(torch.unique(one).numel() > 100 for one in weights.values()) > 4
    with torch.no_grad():
        logits = shuffled(create_noise())
    assert torch.isfinite(logits).all()
    assert logits.std(dim=0).min() > 1e-4, "it still tells images apart"


def test_shuffling_depends_on_the_seed_alone_and_changes_nothing_else() -> None:
    network, images = build(), create_noise()
    network.set_trainable(1)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    torch.manual_seed(5)
    states = (torch.random.get_rng_state(), random.getstate())
    first, again, other = (randomize_network(network, images, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    for key, value in network.state_dict().items():
        assert torch.equal(value, before[key])
        assert torch.equal(first.state_dict()[key], again.state_dict()[key])
    assert not torch.equal(first.head.get_parameter("weight"), other.head.get_parameter("weight"))
    for old, new in zip(network.modules(), first.modules(), strict=True):
        assert new.training == old.training
        assert getattr(new, "momentum", None) == getattr(old, "momentum", None)
    assert [one.requires_grad for one in first.parameters()] == [
        one.requires_grad for one in network.parameters()
    ]


def test_statistics_of_batch_norm_are_those_of_the_shuffled_network() -> None:
    network, images = build(), create_noise(8)
    shuffled = randomize_network(network, images, seed=0)
    norms = [part for part in shuffled.modules() if isinstance(part, nn.BatchNorm2d)]
    outputs: list[torch.Tensor] = []
    handle = norms[-1].register_forward_hook(lambda *call: outputs.append(call[2].detach()))
    with torch.no_grad():
        shuffled(torch.cat([images, images.flip(-1)]))
    handle.remove()
    mean, deviation = outputs[0].mean(dim=(0, 2, 3)), outputs[0].std(dim=(0, 2, 3))
    torch.testing.assert_close(mean, torch.zeros_like(mean), rtol=0, atol=0.1)
    torch.testing.assert_close(deviation, torch.ones_like(mean), rtol=0, atol=0.1)


def test_one_image_of_which_one_cell_is_left_is_enough_for_the_statistics() -> None:
    shuffled = randomize_network(build(), create_noise(1, 16), seed=0)
    assert all(torch.isfinite(value).all() for value in shuffled.state_dict().values())


# All together


def create_scenes(tinted: str, *, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Noisy gray discs of 64 pixels with their masks, in which the body or the sky has a colour.

    The target says which: 0 is reddish, 1 bluish.
    """
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[:64, :64]
    images, masks = [], []
    targets = np.arange(12) % 2
    for target in targets:
        top, left = generator.integers(22, 42, size=2)
        mask = (rows - top) ** 2 + (columns - left) ** 2 < 18**2
        colour = np.where(target == 0, (60, 0, 0), (0, 0, 60))
        place = mask if tinted == "body" else ~mask
        pixels = np.where(mask[..., None], 120, 30) + place[..., None] * colour
        pixels = pixels + generator.normal(0, 12, size=pixels.shape)
        images.append(pixels.clip(0, 255).astype(np.uint8))
        masks.append(mask)
    stack = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous()
    return stack, torch.from_numpy(targets), torch.from_numpy(np.stack(masks))


@pytest.fixture(scope="module")
def learn() -> Callable[[str], PlanetNet]:
    """Returns a function that trains a tiny network on those scenes."""
    networks: dict[str, PlanetNet] = {}

    def train(tinted: str) -> PlanetNet:
        if tinted not in networks:
            network = build(size=64).train()
            optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
            for step in range(30):
                images, targets, _ = create_scenes(tinted, seed=step)
                optimizer.zero_grad()
                nn.functional.cross_entropy(network(images), targets).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
            networks[tinted] = network.eval()
        return networks[tinted]

    return train


@pytest.mark.parametrize("tinted", ["body", "sky"])
def test_planted_network_is_found_out(tinted: str, learn: Callable[[str], PlanetNet]) -> None:
    network = learn(tinted)
    images, targets, masks = create_scenes(tinted, seed=100)
    with torch.no_grad():
        assert (network(images).argmax(dim=1) == targets).all()
    maps = compute_gradcam(network, images, targets)
    checks = check_explanations(network, compute_gradcam, images, targets, maps, masks)
    verdict = judge_explanations(checks)
    assert verdict.belief == "yes"
    if tinted == "sky":
        assert verdict.num_background >= 11
        assert "show a network that relies on the background" in verdict.sentence
    else:
        assert verdict.num_background == 0
        assert verdict.body.answer == "yes"
        assert "background" not in verdict.sentence


def test_maps_that_ignore_the_network_are_not_believed(
    learn: Callable[[str], PlanetNet],
) -> None:
    network = learn("body")
    images, targets, masks = create_scenes("body", seed=100)
    maps = follow_brightness(network, images, targets)
    checks = check_explanations(network, follow_brightness, images, targets, maps, masks)
    np.testing.assert_allclose(checks.randomized, 1)
    verdict = judge_explanations(checks)
    assert verdict.weights.wins == 0
    assert verdict.sentence.startswith("The maps cannot be believed: they do not follow")


def test_checking_leaves_modes_and_the_state_of_chance_as_they_were() -> None:
    network, images = build(), create_noise(1)
    network.train()
    torch.manual_seed(3)
    state = torch.random.get_rng_state()
    maps = follow_brightness(network, images, FIRST)
    no_body = torch.zeros(1, SIZE, SIZE, dtype=torch.bool)
    checks = check_explanations(network, follow_brightness, images, FIRST, maps, no_body)
    assert network.training
    assert torch.equal(torch.random.get_rng_state(), state)
    verdict = judge_explanations(checks)
    assert verdict.belief == "not known"
    assert verdict.stability == pytest.approx(1)
    assert verdict.energy_on_body is None
    assert "whether they lie on the body could not be measured" in verdict.sentence


def create_checks(count: int, **values: float) -> ExplanationChecks:
    figures = {
        "energy_on_body": 0.7,
        "body_share": 0.3,
        "deletion": 0.2,
        "insertion": 0.9,
        "stability": 0.95,
        "randomized": 0.1,
        **values,
    }
    return ExplanationChecks(**{name: np.full(count, value) for name, value in figures.items()})


def test_judgement_of_good_maps_has_medians_and_exact_p_values() -> None:
    verdict = judge_explanations(create_checks(6))
    assert verdict.belief == "yes"
    assert (verdict.energy_on_body, verdict.body_share) == (0.7, 0.3)
    assert (verdict.deletion, verdict.insertion) == (0.2, 0.9)
    assert (verdict.stability, verdict.randomized) == (0.95, 0.1)
    for comparison in (verdict.weights, verdict.evidence, verdict.body):
        assert (comparison.wins, comparison.trials) == (6, 6)
        assert comparison.p_value == pytest.approx(1 / 64)


@pytest.mark.parametrize(
    ("values", "belief"),
    [
        ({"randomized": 0.8}, "no"),  # a gap of 0.15 is no clear one
        ({"randomized": 0.7}, "yes"),
        ({"deletion": 0.95}, "in part"),
        ({"deletion": 0.86}, "in part"),  # nor is a change of 0.04
        ({"deletion": 0.96, "insertion": 0.99}, "in part"),  # an answer that outlasts both
        ({"randomized": np.nan}, "in part"),
        ({"randomized": np.nan, "deletion": 0.95}, "no"),
        ({"randomized": np.nan, "insertion": np.nan}, "not known"),
        ({"energy_on_body": 0.1}, "yes"),
    ],
)
def test_belief_follows_from_weights_and_evidence(values: dict[str, float], belief: str) -> None:
    assert judge_explanations(create_checks(8, **values)).belief == belief


def test_class_that_neither_image_nor_blur_is_taken_for_is_not_counted() -> None:
    checks = create_checks(8, deletion=0.01, insertion=0.01)
    assert judge_explanations(checks).evidence.trials == 0, "there is nothing to lose"
    flat = np.full((8, 17), 0.35)
    unsure = replace(
        create_checks(8, deletion=0.35, insertion=0.35), deletion_curves=flat, insertion_curves=flat
    )
    assert judge_explanations(unsure).evidence.trials == 0
    falling = np.linspace(0.9, 0.1, 17) * np.ones((8, 1))
    sure = replace(unsure, deletion_curves=falling, insertion_curves=falling[:, ::-1])
    assert judge_explanations(sure).evidence.trials == 8


def test_answer_that_outlasts_deletion_and_insertion_is_not_counted() -> None:
    checks = create_checks(8)
    checks.deletion[:3], checks.insertion[:3] = 0.96, 0.99
    checks.deletion[3] = 0.96
    verdict = judge_explanations(checks)
    assert (verdict.evidence.wins, verdict.evidence.trials) == (4, 5)


def test_uniform_map_is_neither_on_the_body_nor_on_the_background() -> None:
    verdict = judge_explanations(create_checks(8, energy_on_body=0.3 - 1e-9))
    assert verdict.num_background == 0
    assert verdict.body.trials == 0


def test_images_that_were_not_measured_do_not_count() -> None:
    checks = create_checks(8)
    checks.energy_on_body[:2] = np.nan
    checks.body_share[0] = np.nan
    checks.energy_on_body[2] = 0.2
    verdict = judge_explanations(checks)
    assert (verdict.body.wins, verdict.body.trials, verdict.num_background) == (5, 6, 1)
    assert verdict.body.p_value == pytest.approx(7 / 64)
    assert verdict.weights.trials == 8


@pytest.mark.parametrize("count", [0, 1, 2, 4])
def test_few_images_are_not_judged(count: int) -> None:
    verdict = judge_explanations(create_checks(count))
    assert verdict.belief == "not known"
    assert verdict.sentence.startswith("Whether the maps can be believed is not known: ")
