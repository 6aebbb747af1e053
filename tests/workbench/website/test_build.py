"""The documentation site: built without a warning, its links lead somewhere, its search knows the names."""

import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from kdlight.workbench.list_methods import list_methods
from kdlight.workbench.website import build, method_gallery, reference

ROOT = Path(__file__).parents[3]


class Page(HTMLParser):
    """What a page links to, what it loads, and the anchors that others can link to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links, self.loaded, self.anchors = [], [], {""}
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.anchors.add(given.get("id") or "")
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        elif tag in ("script", "img") and given.get("src"):
            self.loaded.append(given["src"])
        elif tag == "link" and given.get("rel") == "stylesheet":
            self.loaded.append(given["href"])


def test_the_gallery_has_a_card_for_every_method():
    page = method_gallery.write_page()
    for method in list_methods().values():
        assert f":link: kdlight.methods.{method.name}\n" in page
    assert "Zhao et al. (2022)<br>*Decoupled Knowledge Distillation*" in page
    assert "`beta: 8.0`" in page


def test_names_become_links_and_bars_stay():
    assert reference.convert_to_rst("a `Tapped` |x|") == "a :py:obj:`Tapped <kdlight.models.Tapped>` \\|x\\|"
    assert reference.convert_to_rst("`Tapped`, ``|x|``", besides="kdlight.models.Tapped") == "`Tapped`, ``|x|``"


def test_the_packages_of_the_reference_are_those_with_public_names():
    assert {package for package in reference.PACKAGES if not reference.list_names(package)} == set()
    folders = {f"kdlight.{init.parent.name}" for init in (ROOT / "kdlight").glob("*/__init__.py")}
    with_names = {
        package
        for package in folders
        if "find_lazy_names(__name__" in (ROOT / package.replace(".", "/") / "__init__.py").read_text()
        and reference.list_names(package)
    }
    assert with_names | {"kdlight"} == set(reference.PACKAGES)


def test_linked_files_of_other_kinds_become_pages(tmp_path):
    (tmp_path / "here/sub").mkdir(parents=True)
    (tmp_path / "here/sub/a.yaml").write_text("x: 1\n")
    (tmp_path / "here/README.md").write_text("[a](sub/a.yaml) [b](https://b.org/a.yaml)\n")
    build.copy_page(tmp_path, Path("here/README.md"), tmp_path / "out")
    assert (tmp_path / "out/here/README.md").read_text() == "[a](sub/a.yaml.md) [b](https://b.org/a.yaml)\n"
    assert "```yaml\nx: 1\n```" in (tmp_path / "out/here/sub/a.yaml.md").read_text()


@pytest.mark.slow
def test_it_is_built_without_a_warning_and_no_link_is_dead(tmp_path):
    pytest.importorskip("sphinx", reason="the site is an extra: pip install kdlight[docs]")
    command = [sys.executable, "-m", "kdlight.workbench.website.build", "--output", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1500)
    assert (done.returncode, done.stderr) == (0, "")
    html = tmp_path / "html"
    pages = {path.resolve(): Page(path.read_text()) for path in html.rglob("*.html")}
    dead = []
    for path, page in pages.items():
        assert not [loaded for loaded in page.loaded if urlsplit(loaded).scheme], f"{path} loads something from outside"
        for link in [*page.links, *page.loaded]:
            parts = urlsplit(link)
            if parts.scheme:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchors = pages[target].anchors if target in pages else {""}
            if not target.is_file() or (target in pages and unquote(parts.fragment) not in anchors):
                dead.append(f"{path.relative_to(html.resolve())}: {link}")
    assert not dead
    index = (html / "searchindex.js").read_text()
    for name in ("DKD", "broja", "ImageFolderDataModule", "PIDMonitor"):
        assert f'"{name}"' in index or name.lower() in index
    assert {f"{Path(path).stem}.html" for path in (ROOT / "notebooks").glob("*.ipynb")} <= {
        path.name for path in (html / "notebooks").iterdir()
    }
