"""The data module that a trainer was given."""

from lightning.pytorch import Trainer

from kdlight.data.base.image_module import ImageDataModule
from kdlight.errors import UserError


def require_image_data(trainer: Trainer, need: str) -> ImageDataModule:
    """Return the data module of a trainer, which has to be one of kdlight's.

    Args:
        trainer: The trainer.
        need: Who needs it and what for, the beginning of the error message.

    Raises:
        UserError: If the trainer has none, or one of another kind.
    """
    data = getattr(trainer, "datamodule", None)
    if not isinstance(data, ImageDataModule):
        raise UserError(f"{need}: expected a kdlight data module, got {type(data).__name__}; pass one as datamodule")
    return data
