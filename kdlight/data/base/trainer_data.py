"""The data module that a trainer was given."""

from lightning.pytorch import Trainer

from kdlight.data.base.image_module import ImageDataModule
from kdlight.errors import UserError


def require_image_data(trainer: Trainer, need: str) -> ImageDataModule:
    """Return the data module of a trainer, which has to be one of kdlight's.

    Args:
        trainer: The trainer.
        need: The beginning of the error message, which says what needs the data module and why.

    Raises:
        UserError: If the trainer has no data module, or one of another library.
    """
    data = getattr(trainer, "datamodule", None)
    if not isinstance(data, ImageDataModule):
        raise UserError(f"{need}: expected a kdlight data module, got {type(data).__name__}; pass one as datamodule")
    return data
