"""Views are drawn, kept, replayed and made outside of training, bit for bit as training sees them."""

import json

import pytest
import torch

from kdlight.data.base.samples import Samples
from kdlight.data.digits import DigitsDataModule
from kdlight.data.views.crops import crop, draw_crops, flip
from kdlight.errors import UserError
from kdlight.streams import Stream, make_generator
from tests.data.test_digits import BatchRecorder, trainer


def module(**options: object) -> DigitsDataModule:
    data = DigitsDataModule(**{"augment": True, **options})  # type: ignore[arg-type]
    data.setup("fit")
    return data


def trained(data: DigitsDataModule, epochs: int, *, views: int = 1, strong: bool = False) -> BatchRecorder:
    model = BatchRecorder()
    model.views, model.strong_view = views, strong  # type: ignore[assignment]
    trainer(max_epochs=epochs, limit_val_batches=0).fit(model, datamodule=data)
    return model


class MirroredDigits(DigitsDataModule):
    mirror = True


def test_a_view_is_the_crop_and_flip_of_seed_epoch_and_view() -> None:
    data = MirroredDigits(augment=True, seed=3)
    data.setup("fit")
    raw = data.get_split("train").fetch_batch(torch.tensor([700, 3, 77]))
    seen = data.views.augment(raw, epoch=5, views=2).images.chunk(2)
    for view, images in enumerate(seen):
        draws = draw_crops(data.train_size, padding=1, flip=True, generator=make_generator(Stream.VIEW, 3, 5, view))
        expected = flip(crop(raw.images, draws.shifts[raw.index], padding=1), draws.flipped[raw.index])
        assert images.equal(expected)


@pytest.mark.parametrize(
    ("views", "strong", "names"),
    [
        (1, False, ["0.shifts"]),
        (2, False, ["0.shifts", "1.shifts"]),
        (2, True, ["0.shifts", "1.shifts", "strong.operations", "strong.strengths", "strong.cutout"]),
    ],
)
def test_the_views_made_outside_are_those_of_training(views: int, strong: bool, names: list[str]) -> None:
    data = module()
    parameters = data.views.draw(1, views=views, strong=strong)
    assert list(parameters) == names
    assert {len(choice) for choice in parameters.values()} == {data.train_size}
    assert parameters["0.shifts"].dtype == torch.uint8
    batches = trained(data, 2, views=views, strong=strong).train_batches[18:]
    made = list(data.load_views([b.index for b in batches], parameters, views=views, strong=strong))
    assert len(made) == 18
    for one, other in zip(batches, made, strict=True):
        assert one.images.equal(other.images)
        assert one.target.equal(other.target)
        assert len(one.images) == views * len(one.target)


def test_replayed_views_come_round_while_the_shuffle_goes_on() -> None:
    kept = [module(seed=7).views.draw(epoch) for epoch in (0, 1)]
    data, fresh = module(seed=1), module(seed=1)
    data.views.replay(kept)
    replayed, drawn = trained(data, 3).train_batches, trained(fresh, 3).train_batches
    assert all(one.index.equal(other.index) for one, other in zip(replayed, drawn, strict=True))
    assert not any(one.images.equal(other.images) for one, other in zip(replayed, drawn, strict=True))
    for epoch in range(3):
        part = replayed[18 * epoch : 18 * (epoch + 1)]
        for one, other in zip(part, data.load_views([b.index for b in part], kept[epoch % 2]), strict=True):
            assert one.images.equal(other.images)


def test_without_augmentation_there_are_no_parameters() -> None:
    data = module(augment=False)
    assert data.views.draw(0, views=2, strong=True) == {}
    data.views.replay([{}])
    (batch,) = data.load_views([torch.tensor([4, 2])], {}, views=2)
    raw = data.normalize_batch(data.get_split("train").fetch_batch(torch.tensor([4, 2])))
    assert batch.images.equal(raw.images.repeat(2, 1, 1, 1))


def test_views_of_something_else_are_refused() -> None:
    data = module()
    good = data.views.draw(0)
    for wrong, message in [
        ([], "needs the choices of at least one epoch"),
        ([good, {}], r"expected 0\.shifts, got none"),
        ([{**good, "0.flipped": torch.zeros(1137)}], r"got 0\.shifts, 0\.flipped"),
        ([{"0.shifts": good["0.shifts"][:-1]}], r"0\.shifts of the shape \(1137, 2\), got \(1136, 2\)"),
    ]:
        with pytest.raises(ValueError, match=message) as caught:
            data.views.replay(wrong)  # type: ignore[arg-type]
        assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="for views=2, strong=False"):
        next(data.load_views([torch.tensor([0])], good, views=2))
    data.views.replay([good])
    with pytest.raises(ValueError, match="for views=2, strong=False"):
        data.views.augment(data.get_split("train").fetch_batch(torch.tensor([0])), epoch=0, views=2)


def test_the_transform_is_told_from_others() -> None:
    told = [
        module().describe_transform(),
        module().describe_transform(views=2),
        module().describe_transform(views=2, strong=True),
        module(augment=False).describe_transform(),
        module(mean=(0.5,)).describe_transform(),
        module(std=(0.5,)).describe_transform(),
        MirroredDigits(augment=True).describe_transform(),
    ]
    texts = [json.dumps(identity, sort_keys=True) for identity in told]
    assert len(set(texts)) == len(texts)
    assert texts[0] == json.dumps(module(seed=4, batch_size=9).describe_transform(), sort_keys=True)
    assert json.loads(texts[0]) == told[0]


def test_the_training_images_are_told_from_others_whatever_their_labels() -> None:
    whole = module().hash_train_images()
    assert whole == module(labels=False, seed=3, augment=False).hash_train_images()
    assert whole == module(label_noise=0.5).hash_train_images()
    assert len({whole, module(val_size=299).hash_train_images(), module(train_per_class=9).hash_train_images()}) == 3


def samples() -> Samples:
    return Samples(torch.zeros(10, 3, 4, 4, dtype=torch.uint8), torch.arange(10), {"coarse": torch.arange(10) // 5})


@pytest.mark.parametrize(("free", "moves"), [(4 * 480, True), (4 * 480 - 1, False)])
def test_samples_move_to_the_device_where_they_take_a_quarter_of_what_is_free(free: int, moves: bool) -> None:
    asked: list[torch.device] = []

    def bytes_free(device: torch.device) -> int:
        asked.append(device)
        return free

    device = torch.device("meta")  # any device that is not the CPU
    placed = samples().move_if_it_fits(device, free=bytes_free)
    assert asked == [device]
    assert {tensor.device for tensor in (placed.images, placed.target, placed.targets["coarse"])} == {
        device if moves else torch.device("cpu")
    }
    assert placed.device.type == ("meta" if moves else "cpu")


def test_label_noise_replaces_exactly_its_share_by_other_classes() -> None:
    clean, other = module(), module(label_noise=0.3, seed=9)
    true, noisy = clean.get_split("train").target, other.get_split("train").target
    wrong = true != noisy
    assert int(wrong.sum()) == round(0.3 * 1137)
    steps = (noisy - true)[wrong] % 10
    counts = steps.bincount(minlength=10)
    assert counts[0] == 0
    # Of 341 each other class gets 37.9, with a standard deviation of 5.8.
    assert (counts[1:] - 341 / 9).abs().max() < 4 * 5.8
    assert other.get_split("val").target.equal(clean.get_split("val").target)
    assert module(label_noise=0.3).get_split("train").target.equal(noisy)
    assert (module(label_noise=1.0).get_split("train").target != true).all()
    other.setup("test")
    clean.setup("test")
    assert other.get_split("test").target.equal(clean.get_split("test").target)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"label_noise": 1.5}, "expected label_noise to be less than or equal to 1, got 1.5"),
        ({"label_noise": -0.1}, "expected label_noise to be greater than or equal to 0, got -0.1"),
        ({"label_noise": 0.1, "labels": False}, "label_noise: expected 0 if labels is false, got 0.1"),
    ],
)
def test_label_noise_that_cannot_be_is_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(UserError, match=said):
        DigitsDataModule(**options)  # type: ignore[arg-type]
