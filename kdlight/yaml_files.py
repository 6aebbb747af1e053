"""Read YAML files safely, even from untrusted sources. If a file is damaged or too large, the error names the file."""

import re
import stat
from pathlib import Path
from typing import Any

import yaml

from kdlight.errors import MissingFileError, UserError

MOST_BYTES = 2**18
MOST_VALUES = 50_000  # counted with anchors expanded, because a few lines with anchors can stand for billions of values
DEEPEST = 50
EXPECTED = "expected a YAML configuration file"


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, except that ``1e-4`` is a number, as in YAML 1.2, and a repeated key is an error."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Expand YAML's merge key ``<<``, and refuse a mapping that becomes too large by the expansion."""
        super().flatten_mapping(node)
        if len(node.value) > MOST_VALUES:
            raise yaml.constructor.ConstructorError(None, None, "'<<' stands for too many values", node.start_mark)

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Read a mapping, and refuse a repeated key; PyYAML would silently take the last value of the key."""
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            name = (key.tag, key.value) if isinstance(key, yaml.ScalarNode) else None
            if name in seen:
                raise yaml.composer.ComposerError(None, None, f"the key '{key.value}' stands twice", key.start_mark)
            seen.update([name] if name else [])
        return node


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+"), list("-+.0123456789")
)


def read_yaml(file: Path) -> Any:
    """Read one YAML file. An empty file gives an empty mapping.

    Raises:
        MissingFileError: If the file does not exist.
        UserError: If the file is not YAML, or is larger or more deeply nested than a configuration may be.
    """
    try:
        kind = file.stat()
        if stat.S_ISDIR(kind.st_mode):
            raise UserError(f"{file} is a folder; {EXPECTED}")
        if not stat.S_ISREG(kind.st_mode):
            raise UserError(f"{file} is no regular file but a pipe or a device; {EXPECTED}")
        if kind.st_size > MOST_BYTES:
            raise UserError(f"{file} has {kind.st_size} bytes; {EXPECTED} of at most {MOST_BYTES}")
        content = yaml.load(file.read_text(encoding="utf-8"), _Loader)
        _count(content)
    except FileNotFoundError:
        raise MissingFileError(f"{file} does not exist; {EXPECTED}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{file} is no UTF-8 text (byte {error.start}); {EXPECTED}, saved as UTF-8") from None
    except yaml.YAMLError as error:
        raise UserError(f"{file}: not valid YAML: {' '.join(str(error).split())}") from None
    except (_TooMuchError, RecursionError):
        raise UserError(
            f"{file}: nested too deeply, or too many values with its anchors expanded; {EXPECTED} of at most "
            f"{MOST_VALUES} values in {DEEPEST} levels"
        ) from None
    except UserError:
        raise
    except (OSError, ValueError) as error:  # such as a path that is too long, or a date such as 2024-02-30
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{str(file)[:200]!r} cannot be read ({reason}); {EXPECTED}") from None
    return {} if content is None else content


class _TooMuchError(Exception):
    """A file has more values, or more levels, than a configuration may have."""


def _count(content: Any) -> None:
    """Count a file's values level by level, with anchors expanded; raise an error if values or levels are too many."""
    level, seen = [content], 0
    for _ in range(DEEPEST):
        inner: list[Any] = []
        for value in level:
            items = value if isinstance(value, list) else value.values() if isinstance(value, dict) else ()
            inner.extend(items)
            seen += len(items)
            if seen > MOST_VALUES:
                raise _TooMuchError
        if not inner:
            return
        level = inner
    raise _TooMuchError
