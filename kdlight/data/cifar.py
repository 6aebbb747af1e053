"""CIFAR-10 and CIFAR-100.

A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009, https://www.cs.toronto.edu/~kriz/cifar.html
"""

__all__ = ["CIFAR10DataModule", "CIFAR100DataModule"]

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from lightning.pytorch.utilities import rank_zero_warn
from pydantic import Field

from kdlight.data.base.image_module import ImageDataModule, ImageDataModuleArguments
from kdlight.data.base.samples import Samples
from kdlight.data.sources.archives import Archive, describe_remedy, fetch_archive
from kdlight.data.sources.cifar_files import CIFAR10, CIFAR100, Layout, find_layout, read_files
from kdlight.errors import MissingFileError, UserError
from kdlight.ranges import NonNegativeInt
from kdlight.unpack import Unpack

TrainBatches = Annotated[int, Field(ge=1, le=5)]

CIFAR100_CLASSES = """
    apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can
    castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin
    elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster
    man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck
    pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk
    skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger
    tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm
"""


class CIFARArguments(ImageDataModuleArguments, total=False):
    """The arguments that `CIFAR10DataModule` and `CIFAR100DataModule` pass on to `CIFARDataModule`."""

    val_size: NonNegativeInt
    augment: bool
    download: bool
    accept_modified: bool


class CIFARDataModule(ImageDataModule):
    """The base of CIFAR-10 and CIFAR-100.

    Args:
        data_dir: The folder that contains the data set's folder. The data set is published as a folder of pickles and
            as a folder of binary files; either can be read.
        mean: Mean of each channel, for pixels in [0, 1].
        std: Standard deviation of each channel, for pixels in [0, 1].
        val_size: How many of the 50,000 training images are held out for validation.
        augment: Pad by four black pixels, crop at random, and flip horizontally at random.
        download: Download a published archive if `data_dir` has neither the folder of pickles nor that of binary files.
        mirrors: Addresses from which an archive is downloaded, tried in this order.
        accept_modified: Accept missing training files, and files whose checksum is not the published one. A warning
            names these files.
        options: Passed on to `ImageDataModule`: train_per_class, label_noise, batch_size, seed, …
    """

    image_shape: ClassVar[tuple[int, int, int]] = (3, 32, 32)
    crop_padding: ClassVar[int] = 4
    mirror: ClassVar[bool] = True
    layouts: ClassVar[tuple[Layout, ...]]
    archives: ClassVar[tuple[Archive, ...]]
    train_batches: int | None = None

    def __init__(
        self,
        data_dir: str,
        *,
        mean: Sequence[float],
        std: Sequence[float],
        mirrors: Sequence[str],
        val_size: NonNegativeInt = 5000,
        augment: bool = True,
        download: bool = False,
        accept_modified: bool = False,
        **options: Unpack[ImageDataModuleArguments],
    ) -> None:
        super().__init__(mean=mean, std=std, val_size=val_size, augment=augment, **options)
        self.data_dir = Path(data_dir).expanduser()
        self.download, self.mirrors = download, tuple(mirrors)
        self.accept_modified = accept_modified

    def prepare_data(self) -> None:
        """Download the data set if it is missing and `download` is true."""
        if self.download and find_layout(self.data_dir, self.layouts) is None:
            fetch_archive(self.mirrors, self.archives, self.data_dir)

    def read_train(self) -> Samples:
        """Read the training set."""
        return self._read("train")

    def read_test(self) -> Samples:
        """Read the test set."""
        return self._read("test")

    def _read(self, part: Literal["train", "test"]) -> Samples:
        layout = find_layout(self.data_dir, self.layouts)
        if layout is None:
            folders = " nor ".join(f"{layout.folder}/" for layout in self.layouts)
            raise MissingFileError(
                f"neither {folders} is in {self.data_dir.absolute()}: set data_dir to the folder that holds one, or "
                "run again with --data.download true"
            )
        samples, deviations = read_files(
            self.data_dir, layout, part, accept_modified=self.accept_modified, train_batches=self.train_batches
        )
        if deviations:
            rank_zero_warn(
                "not the published data set, accepted because accept_modified is true: "
                f"{self.data_dir / layout.folder}: {', '.join(deviations)}"
            )
        if samples.target.max() >= self.num_classes:
            raise UserError(
                f"{self.data_dir / layout.folder} has the label {samples.target.max()}, but there are only "
                f"{self.num_classes} classes: {describe_remedy(self.data_dir / layout.folder)}"
            )
        return samples


class CIFAR10DataModule(CIFARDataModule):
    """CIFAR-10: 50,000 training and 10,000 test images of 10 classes, 32x32 pixels.

    Args:
        data_dir: The folder that holds ``cifar-10-batches-py/`` or ``cifar-10-batches-bin/``.
        mean: Mean of each channel, for pixels in [0, 1]. Weights that others published may have been trained with the
            mean and std of ImageNet instead.
        std: Standard deviation of each channel, for pixels in [0, 1].
        mirrors: Addresses from which an archive is downloaded, tried in this order.
        train_batches: How many of the five training files to read, starting with the first; each has 10,000 images.
            None: all five.
        options: Passed on to `CIFARDataModule`: val_size, augment, download, batch_size, …
    """

    class_names: ClassVar[tuple[str, ...]] = (
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    )
    layouts: ClassVar[tuple[Layout, ...]] = CIFAR10
    archives: ClassVar[tuple[Archive, ...]] = (
        Archive(
            "cifar-10-python.tar.gz",
            "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
            "cifar-10-batches-py",
        ),
        Archive(
            "cifar-10-binary.tar.gz",
            "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
            "cifar-10-batches-bin",
        ),
    )

    def __init__(
        self,
        data_dir: str = "data",
        *,
        mean: Sequence[float] = (0.4914, 0.4822, 0.4465),
        std: Sequence[float] = (0.2470, 0.2435, 0.2616),
        mirrors: Sequence[str] = (
            "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
            "https://dataset.bj.bcebos.com/cifar/cifar-10-python.tar.gz",
        ),
        train_batches: TrainBatches | None = None,
        **options: Unpack[CIFARArguments],
    ) -> None:
        super().__init__(data_dir, mean=mean, std=std, mirrors=mirrors, **options)
        self.train_batches = train_batches


class CIFAR100DataModule(CIFARDataModule):
    """CIFAR-100: 50,000 training and 10,000 test images of 100 classes, 32x32 pixels.

    The 20 superclasses are a further target, ``batch.targets["coarse"]``.

    Args:
        data_dir: The folder that holds ``cifar-100-python/`` or ``cifar-100-binary/``.
        mean: Mean of each channel, for pixels in [0, 1]. The default is that of RepDistiller, the code of CRD (Tian et
            al. 2020).
        std: Standard deviation of each channel, for pixels in [0, 1]. The default is that of RepDistiller, too.
        mirrors: Addresses from which an archive is downloaded, tried in this order.
        options: Passed on to `CIFARDataModule`: val_size, augment, download, batch_size, …
    """

    class_names: ClassVar[tuple[str, ...]] = tuple(CIFAR100_CLASSES.split())
    layouts: ClassVar[tuple[Layout, ...]] = CIFAR100
    archives: ClassVar[tuple[Archive, ...]] = (
        Archive(
            "cifar-100-python.tar.gz",
            "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
            "cifar-100-python",
        ),
        Archive(
            "cifar-100-binary.tar.gz",
            "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
            "cifar-100-binary",
        ),
    )

    def __init__(
        self,
        data_dir: str = "data",
        *,
        mean: Sequence[float] = (0.5071, 0.4867, 0.4408),
        std: Sequence[float] = (0.2675, 0.2565, 0.2761),
        mirrors: Sequence[str] = (
            "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
            "https://dataset.bj.bcebos.com/cifar/cifar-100-python.tar.gz",
        ),
        **options: Unpack[CIFARArguments],
    ) -> None:
        super().__init__(data_dir, mean=mean, std=std, mirrors=mirrors, **options)
