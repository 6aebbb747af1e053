"""The gallery of the methods: a card for each method, from the data that ``kdlight methods`` prints."""

from itertools import groupby

from kdlight.workbench.list_methods import find_paper, find_what_it_distils, list_methods, list_own_arguments
from kdlight.workbench.source_classes import SourceClass

OPENING = """# Methods at a glance

`kdlight methods` prints this list, and `kdlight methods dkd` prints one method in full. `kdlight fit --config dkd.yaml`
trains a student on digits with DKD, and `kdlight fit --config PAIR.yaml --config dkd.yaml` the student of another pair.
[Which methods combine, and where the defaults come from](kdlight/methods/README.md).
"""
GRID = "`````{grid} 1 1 2 2\n:gutter: 3\n"


def write_page() -> str:
    """Write the page, with the methods grouped by what they distil."""
    methods = sorted(list_methods().values(), key=lambda method: (find_what_it_distils(method), method.stem))
    parts = [OPENING]
    for distils, group in groupby(methods, key=find_what_it_distils):
        parts += [f"## {_write_heading(distils)}\n", GRID, *(write_card(method) for method in group), "`````\n"]
    return "\n".join(parts)


def write_card(method: SourceClass) -> str:
    """Write a method's card: its name, its paper, what its loss is, and its own arguments."""
    paper = find_paper(method)
    source = f"{paper.authors} ({paper.year})<br>*{paper.title}*\n\n" if paper else ""
    arguments = ", ".join(f"`{argument.name}: {argument.default}`" for argument in list_own_arguments(method))
    summary = " ".join(method.text.partition("\n\n")[0].split())
    return (
        f"````{{grid-item-card}} {method.name}\n:link: kdlight.methods.{method.name}\n:link-type: any\n\n"
        f"{source}{summary}\n\n```{{card-footer}}\n{arguments or 'no arguments of its own'}\n```\n````\n"
    )


def _write_heading(distils: str) -> str:
    """Return the heading of a group."""
    return "Without a teacher" if distils == "–" else f"Compare {distils}"
