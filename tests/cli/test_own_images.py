"""What data of one's own take from the networks, and networks by name on the command line."""

import yaml

from kdlight.__main__ import main
from kdlight.cli.objects import build_object
from kdlight.models.classifier import Classifier
from tests.data.image_sets import write_folder


def printed(capsys, *options):
    assert main(["fit", "--print_config", *options]) == 0
    return yaml.safe_load(capsys.readouterr().out)


def test_networks_by_name_get_classes_and_shape_and_give_the_data_their_normalisation(tmp_path, capsys):
    write_folder(tmp_path, train=2, test=1)
    pair = {
        "student": {"class_path": "kdlight.models.Torchvision", "init_args": {"name": "mobilenet_v3_small"}},
        "teacher": {"class_path": "kdlight.models.Torchvision", "init_args": {"name": "resnet50", "pretrained": True}},
    }
    method = {"class_path": "kdlight.methods.KD", "init_args": {**pair, "untrained_teacher": True}}
    data = {"class_path": "kdlight.data.ImageFolderDataModule"}
    (tmp_path / "pair.yaml").write_text(yaml.safe_dump({"model": method, "data": data}))
    given = [f"--data.data_dir={tmp_path}", f"--config={tmp_path / 'pair.yaml'}"]
    config = printed(capsys, *given)
    data = config["data"]["init_args"]
    assert (data["image_size"], data["resize_size"], data["mean"]) == (224, 232, [0.485, 0.456, 0.406])
    for network in ("student", "teacher"):
        arguments = config["model"]["init_args"][network]["init_args"]
        assert (arguments["num_classes"], arguments["image_shape"]) == (3, [3, 224, 224])
    smaller = printed(capsys, *given, "--data.image_size=64")["data"]["init_args"]
    assert (smaller["image_size"], smaller["resize_size"]) == (64, None)
    random = printed(capsys, *given, "--model.teacher.pretrained=false")["data"]["init_args"]
    assert (random["image_size"], random["resize_size"], random["mean"]) == (64, None, [0.485, 0.456, 0.406])
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    known = {"image_size": 48, "mean": [0.1, 0.2, 0.3], "std": [1.0, 2.0, 3.0], "resize_size": None}
    (run / "config.yaml").write_text(yaml.safe_dump({"trainer": {}, "model": {}, "data": {"init_args": known}}))
    like_the_teacher = printed(capsys, *given, f"--model.teacher_weights={run / 'checkpoints/best.ckpt'}")
    assert {name: like_the_teacher["data"]["init_args"][name] for name in known} == known


def test_what_dict_kwargs_say_is_built_again():
    """`kdlight pid --student RUN` rebuilds what was trained."""
    model = {"class_path": "tests.cli.test_errors.build", "init_args": {"name": "net"}}
    tapped = {"model": {**model, "dict_kwargs": {"in_features": 2, "out_features": 7}}, "stages": []}
    built = build_object(Classifier, {"class_path": "kdlight.models.Tapped", "init_args": tapped})
    assert built.num_classes == 7


def test_published_weights_say_their_classes_and_are_fetched_before_anything_is_built(tmp_path, monkeypatch, capsys):
    asked = []

    def refuse(url, part):
        asked.append(url)
        raise OSError("no network in tests")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("kdlight.models.published.download", refuse)
    options = ["--data", "kdlight.data.DigitsDataModule", "--model", "kdlight.methods.KD"]
    options += ["--model.student", "kdlight.models.resnet8", "--model.teacher", "kdlight.models.resnet56"]
    options += ["--model.teacher_weights", "published:cifar100/resnet56"]
    assert main(["fit", "--print_config", *options]) == 0
    config = yaml.safe_load(capsys.readouterr().out)
    assert config["model"]["init_args"]["teacher"]["init_args"]["num_classes"] == 100
    assert not asked
    assert main(["fit", *options]) == 2
    said = capsys.readouterr().err
    assert len(asked) == 2
    assert str(tmp_path / "data/weights/cifar100/resnet56_vanilla/ckpt_epoch_240.pth") in said
    assert not list(tmp_path.glob("runs/*"))


def test_what_is_wrong_with_the_data_is_not_said_of_the_network(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_folder(tmp_path / "images", train=2, test=1)
    model = [
        "fit",
        "--model=kdlight.methods.Supervised",
        "--model.student=kdlight.models.resnet8",
        "--trainer.max_epochs=1",
    ]
    data = ["--data=kdlight.data.ImageFolderDataModule"]
    for options, answer in (
        ([], "data: kdlight.data.ImageFolderDataModule needs data_dir"),
        (["--data.data_dir=nowhere"], f"there is no {tmp_path / 'nowhere'}: set data_dir"),
        (["--data.data_dir=images", "--data.resize_size=3"], "expected 1 <= image_size <= resize_size"),
        (["--data.data_dir=images", "--data.mean=[0.5]"], "mean and std need 3 numbers"),
        (["--data.data_dir=images", "--data.std=[1,1,0]"], "data.std: expected"),
        (["--data.data_dir=images", "--data.test_folder=nowhere"], "test_folder: expected the name of a folder"),
    ):
        assert main([*model, *data, *options]) == 2
        said = capsys.readouterr().err
        assert answer in said
        assert len(said.splitlines()) == 1
        assert "num_classes" not in said
    for network, lacking in (("Torchvision", "name"), ("Tapped", "model")):
        assert main([*model[:2], f"--model.student=kdlight.models.{network}", *data, "--data.data_dir=images"]) == 2
        said = capsys.readouterr().err
        assert said.rstrip().endswith(f"kdlight.models.{network} needs {lacking}")
