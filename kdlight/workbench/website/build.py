"""``make docs``: build the documentation site from the READMEs, the notebooks and the docstrings.

Sphinx reads the pages from the folder ``pages`` in the output folder. Each build makes ``pages`` anew. The folder
contains generated pages, and copies of the repository's READMEs and notebooks under the same paths as in the
repository, so that the links between these documents keep working.
"""

import argparse
import re
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import kdlight
from kdlight.errors import MissingFileError, UserError
from kdlight.workbench.website import command_pages, method_gallery, reference

HERE = Path(__file__).parent
LINK = re.compile(r"(?<=\]\()([^)#:]+)(?=[#)])")  # path in [text](path#anchor), but no web address, which has a colon
PAGES = (".md", ".ipynb")
PICTURES = (".png", ".svg", ".jpg", ".gif")
FRONT = "README.md"


def main(arguments: Sequence[str]) -> int:
    """Build the site and return Sphinx's exit code; every warning is an error."""
    parser = argparse.ArgumentParser("python -m kdlight.workbench.website.build", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("site"), help="folder of the site (default: %(default)s)")
    output = parser.parse_args(arguments[1:]).output
    try:
        from sphinx.cmd.build import build_main
    except ModuleNotFoundError:
        raise UserError("the site needs Sphinx, which is not installed: pip install -e '.[docs]'") from None
    sources = output / "pages"
    for folder in (sources, output / "html"):  # otherwise pages of renamed files would stay
        shutil.rmtree(folder, ignore_errors=True)
    collect_pages(find_repository(), sources)
    options = ["--fail-on-warning", "--keep-going", "--quiet", "-c", str(HERE)]
    code: int = build_main([*options, str(sources), str(output / "html")])
    if not code:
        print(f"open {output / 'html/index.html'}")
    return code


def find_repository() -> Path:
    """Return the top folder of the repository.

    Raises:
        MissingFileError: If kdlight is installed without its repository, whose documents the site is made of.
    """
    root = Path(kdlight.__file__).parents[1]
    if not (root / "notebooks").is_dir():
        raise MissingFileError(f"the site needs a clone of the repository, but {root / 'notebooks'} does not exist")
    return root


def collect_pages(root: Path, sources: Path) -> None:
    """Write all pages of the site into a folder.

    Args:
        root: The repository.
        sources: The folder that Sphinx will read.
    """
    guides = list(list_guides(root))
    notebooks = [path.relative_to(root) for path in sorted((root / "notebooks").glob("*.ipynb"))]
    about = [path.relative_to(root) for path in sorted((root / "notebooks").rglob(FRONT))]
    for path in [Path(FRONT), Path("CONTRIBUTING.md"), Path("CHANGELOG.md"), *about, *guides]:
        copy_page(root, path, sources)
    for path in notebooks:
        copy_file(root / path, sources / path)
    copy_file(HERE / "i_want_to.md", sources / "i_want_to.md")
    (sources / "methods.md").write_text(method_gallery.write_page(), encoding="utf-8")
    (sources / "commands.md").write_text(command_pages.write_page(), encoding="utf-8")
    reference.write_pages(sources / "reference")
    front = (sources / FRONT).read_text(encoding="utf-8")
    (sources / FRONT).unlink()
    (sources / "index.md").write_text(front + write_contents(guides, [*about, *notebooks]), encoding="utf-8")


def list_guides(root: Path) -> Iterable[Path]:
    """List the folders' READMEs: first those that the front page links to, in the order of its links, then the rest."""
    named = [Path(link) for link in LINK.findall((root / FRONT).read_text(encoding="utf-8"))]
    present = [path.relative_to(root) for top in ("kdlight", "configs") for path in sorted((root / top).rglob(FRONT))]
    return dict.fromkeys([path for path in named if path in present] + present)


def copy_page(root: Path, path: Path, sources: Path) -> None:
    """Copy a document and the pictures that it links to. For each linked source file, write a page that shows it."""
    text = (root / path).read_text(encoding="utf-8")
    for link in dict.fromkeys(LINK.findall(text)):
        linked = (root / path.parent / link).resolve().relative_to(root.resolve())
        if linked.suffix in PAGES:
            continue  # Sphinx warns if there is no such page
        if linked.suffix in PICTURES:
            copy_file(root / linked, sources / linked)
            continue
        text = text.replace(f"]({link})", f"]({link}.md)")
        write_listing(root / linked, linked, sources / f"{linked}.md")
    target = sources / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")


def write_listing(file: Path, name: Path, page: Path) -> None:
    """Write a page that shows a source file."""
    language = {".yaml": "yaml", ".py": "python", ".sh": "bash"}.get(name.suffix, "text")
    page.parent.mkdir(parents=True, exist_ok=True)
    content = file.read_text(encoding="utf-8")
    page.write_text(f"---\norphan: true\n---\n# {name}\n\n```{language}\n{content}```\n", encoding="utf-8")


def copy_file(file: Path, target: Path) -> None:
    """Copy a file, and create the folders above the copy."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, target)


def write_contents(guides: Iterable[Path], notebooks: Iterable[Path]) -> str:
    """Return the tables of contents of the front page, which are the site's navigation."""
    groups = {
        "Start": ["i_want_to", "methods", "commands"],
        "Notebooks": [path.with_suffix("").as_posix() for path in notebooks],
        "Guides": [path.with_suffix("").as_posix() for path in guides],
        "Reference": [f"reference/{package}/index" for package in reference.PACKAGES],
        "Project": ["CONTRIBUTING", "CHANGELOG"],
    }
    return "".join(
        f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n" + "\n".join(pages) + "\n```\n"
        for caption, pages in groups.items()
        if pages
    )


if __name__ == "__main__":
    from kdlight.cli.messages import report_errors

    with report_errors() as outcome:
        outcome.code = main(sys.argv)
    sys.exit(outcome.code)
