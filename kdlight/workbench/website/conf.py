"""The settings of Sphinx for ``make docs``."""

import functools
import inspect
from typing import Any

from sphinx.util.typing import stringify_annotation

from kdlight import ranges
from kdlight.workbench.website.reference import convert_to_rst

project = "kdlight"
html_title = "kdlight"
extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",  # docstrings in Google's convention
    "myst_nb",  # READMEs in Markdown, and notebooks
    "sphinx_copybutton",
    "sphinx_design",  # the cards of the gallery
]
root_doc = "index"
html_theme = "furo"
html_copy_source = False
html_show_copyright = False
html_show_sourcelink = False
html_static_path = ["static"]
html_css_files = ["notebooks.css"]

nb_execution_mode = "off"  # the site shows the outputs that are kept in the notebooks
myst_heading_anchors = 4
myst_enable_extensions = ["attrs_inline"]
copybutton_exclude = ".linenos, .gp, .go"

default_role = "code"  # in docstrings a single backtick marks a name or a value
sd_card_legacy_separators = False
autodoc_default_options = {"members": True, "member-order": "bysource", "show-inheritance": True}
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autodoc_class_signature = "mixed"
python_use_unqualified_type_names = True
napoleon_use_ivar = True
napoleon_use_rtype = False

# For each range of `kdlight.ranges`: the text that Sphinx writes for its annotated type, and the name to show instead.
RANGES = [
    (stringify_annotation(kind, "smart"), name)
    for name, kind in vars(ranges).items()
    if name in ranges.__all__ and hasattr(kind, "__metadata__")
]


def write_rst(app: Any, what: str, name: str, value: object, options: Any, lines: list[str]) -> None:
    """Turn the public names in a docstring into links to their documentation."""
    lines[:] = [convert_to_rst(line, besides=name) for line in lines]


def show_arguments(
    app: Any, what: str, name: str, value: Any, options: Any, arguments: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    """Show the constructor's arguments in a class's signature, and replace each range's type by its name.

    `ArgumentRecord` has a method ``__new__(cls, *args, **kwargs)``. Therefore Sphinx shows ``*args, **kwargs`` as the
    arguments of every class derived from it. This function shows the arguments of ``__init__`` instead.
    """
    shown = app.env.current_document.autodoc_annotations.get(name, {})
    for parameter, text in shown.items():
        shown[parameter] = functools.reduce(lambda text, known: text.replace(*known), RANGES, text)
    if what != "class" or arguments != "(*args, **kwargs)":
        return arguments, returns
    _, *parameters = inspect.signature(value.__init__).parameters.values()
    bare = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in parameters]
    return str(inspect.Signature(bare)), returns


def skip_fields(app: Any, what: str, name: str, value: object, skip: bool, options: Any) -> bool | None:
    """Leave out the fields of named tuples, because the docstring of the class describes them."""
    return True if (getattr(value, "__doc__", None) or "").startswith("Alias for field number") else None


def setup(app: Any) -> None:
    """Connect the functions above to the events of Sphinx."""
    app.connect("autodoc-process-docstring", write_rst)
    app.connect("autodoc-process-signature", show_arguments, priority=600)  # after Sphinx has read the annotations
    app.connect("autodoc-skip-member", skip_fields)
