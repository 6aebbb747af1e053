"""Knowledge distillation experiments on PyTorch Lightning, with the information decomposition of what was transferred.

Import kdlight before lightning or torchvision: beside a CPU-only torch neither imports without it (`torchvision_shim`).
"""

from kdlight import torchvision_shim

torchvision_shim.install()


def __getattr__(name: str) -> str:
    if name == "__version__":
        from importlib.metadata import version

        return version("kdlight")
    raise AttributeError(f"module 'kdlight' has no attribute {name!r}")
