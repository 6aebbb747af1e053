"""Read CIFAR's pickles without running code from them.

A pickle can make Python import and call anything. The reader in this file imports nothing: it replaces the few names
that a pickled array needs by small classes and functions of this file, which only store the array's bytes.
"""

import io
import pickle
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdlight.errors import UserError


class _DtypeStandIn:
    """Stands for ``numpy.dtype``. It only remembers whether the type is uint8, the only one that is accepted."""

    def __init__(self, *args: object) -> None:
        self.is_byte = args[:1] in (("u1",), (b"u1",))

    def __setstate__(self, state: object) -> None:
        """Ignore byte order and alignment, which single bytes do not have."""


class _ArrayStandIn:
    """Stands for ``numpy.ndarray``."""

    def __init__(self, *args: object) -> None:
        self.state: Any = None

    def __setstate__(self, state: object) -> None:
        self.state = state

    def to_numpy(self) -> NDArray[np.uint8]:
        _, shape, dtype, column_major, raw = self.state
        if not dtype.is_byte:
            raise UserError("not an array of bytes")
        return np.frombuffer(raw, np.uint8).reshape(shape, order="F" if column_major else "C")


def _reconstruct(*args: object) -> _ArrayStandIn:
    return _ArrayStandIn()


def _encode(text: str, encoding: str) -> bytes:
    return text.encode("latin1")  # in pickle protocols 0 to 2, Python 3 writes bytes as a call of _codecs.encode


_STANDINS = {
    ("_codecs", "encode"): _encode,
    ("numpy", "dtype"): _DtypeStandIn,
    ("numpy", "ndarray"): _ArrayStandIn,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in _STANDINS:
            raise pickle.UnpicklingError(f"the pickle asks for {module}.{name}")
        return _STANDINS[module, name]


def load_pickled_arrays(data: bytes) -> dict[str, Any]:
    """Unpickle a dictionary whose values are lists, numbers, strings or arrays of uint8.

    Args:
        data: The content of the pickle file, which Python 2 or 3 wrote.

    Returns:
        The dictionary, with numpy arrays. Keys of type bytes, as Python 2 writes them, are decoded to str.

    Raises:
        UserError: If the file is broken, holds no dictionary, has an array of another type, or refers to a class or
            function that no array needs. The message gives the reason.
    """
    try:
        content = _Unpickler(io.BytesIO(data), encoding="bytes").load()
        if not isinstance(content, dict):
            raise UserError(f"the pickle holds a {type(content).__name__}, not a dictionary")
        return {
            key.decode() if isinstance(key, bytes) else key: value.to_numpy()
            if isinstance(value, _ArrayStandIn)
            else value
            for key, value in content.items()
        }
    except Exception as error:  # unpickling a broken file can raise any error
        raise UserError(f"not a pickle of arrays ({type(error).__name__}: {error})") from error
