"""The data module that a trainer was given."""

from lightning.pytorch import Trainer

from kdlight.data.base.image_module import ImageDataModule
from kdlight.errors import UserError


def require_image_data(trainer: Trainer, need: str) -> ImageDataModule:
    """Get the data module of a trainer where only one of kdlight's will do.

    Args:
        trainer: The trainer.
        need: Who needs it for what, the beginning of the error's sentence.

    Raises:
        UserError: If the trainer has none, or one of another kind.
    """
    data = getattr(trainer, "datamodule", None)
    if not isinstance(data, ImageDataModule):
        raise UserError(f"{need}: expected a kdlight data module, got {type(data).__name__}; pass one as datamodule")
    return data
