"""Loading a topology from a file or a module, here and in a child process."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from heronshim.errors import TopologyError
from heronshim.instance.loader import load_component, load_definition, load_in_child

if TYPE_CHECKING:
    from collections.abc import Iterator

TOPOLOGY = """
from heronshim.api import Spout, Topology
class Numbers(Spout):
    outputs = ["n"]
    def __init__(self, start=0):
        self.n = start
    def next_tuple(self):
        import lazily
class {name}(Topology):
    numbers = Numbers.spec(start=3)
"""


@pytest.fixture(autouse=True)
def in_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    before, path = set(sys.modules), sys.path[:]
    yield
    sys.path[:] = path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(files: dict[str, str]) -> None:
    for name, text in files.items():
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def problem(spec: str, **options: object) -> str:
    with pytest.raises(TopologyError) as caught:
        load_definition(spec, **options)
    (line,) = caught.value.problems
    return line


def test_a_file_brings_the_modules_below_its_folder(tmp_path: Path) -> None:
    write(
        {
            "app/topo_a.py": "import helper_a\nfrom parts_a import deep\n"
            + TOPOLOGY.format(name="A"),
            "app/helper_a.py": "import json\n",
            "app/parts_a/__init__.py": "",
            "app/parts_a/deep.py": "from . import sibling\nfrom .sub import leaf\n",
            "app/parts_a/sibling.py": "",
            "app/parts_a/sub/__init__.py": "",
            "app/parts_a/sub/leaf.py": "def later():\n    from parts_a import late\n",
            "app/parts_a/late.py": "",
            "app/lazily.py": "",
            "app/unrelated.py": "raise SystemExit",
            "app/venv/lib/site-packages/library_a.py": "",
            "outside.py": "",
        }
    )
    sys.path.insert(0, str(tmp_path / "app/venv/lib/site-packages"))
    Path("app/topo_a.py").write_text("import library_a\n" + Path("app/topo_a.py").read_text())
    loaded = load_definition("app/topo_a.py")
    assert loaded.definition.name == "A"
    assert list(loaded.files) == [
        "helper_a.py",
        "lazily.py",
        "parts_a/__init__.py",
        "parts_a/deep.py",
        "parts_a/late.py",
        "parts_a/sibling.py",
        "parts_a/sub/__init__.py",
        "parts_a/sub/leaf.py",
        "topo_a.py",
    ]
    assert loaded.files["parts_a/deep.py"] == tmp_path / "app/parts_a/deep.py"
    component = loaded.definition.component("numbers")
    assert component.object == "topo_a:Numbers"
    assert str(component.source) == "app/topo_a.py:13"
    assert not list(tmp_path.rglob("__pycache__"))
    assert str(tmp_path / "app") not in sys.path


def test_a_module_of_a_package_is_found_from_the_working_folder() -> None:
    write(
        {
            "pack_b/__init__.py": "",
            "pack_b/inner/__init__.py": "",
            "pack_b/inner/topo.py": "from ..helper import X\n" + TOPOLOGY.format(name="B"),
            "pack_b/inner/topo_alone.py": TOPOLOGY.format(name="Alone"),
            "pack_b/helper.py": "X = 1\n",
        }
    )
    loaded = load_definition("pack_b.inner.topo:B")
    assert loaded.definition.component("numbers").object == "pack_b.inner.topo:Numbers"
    assert list(loaded.files) == [
        "pack_b/__init__.py", "pack_b/helper.py",
        "pack_b/inner/__init__.py", "pack_b/inner/topo.py",
    ]  # fmt: skip
    assert str(loaded.definition.component("numbers").source) == "pack_b/inner/topo.py:11"
    assert load_definition("pack_b/inner/topo_alone.py").definition.name == "Alone"
    assert problem("pack_b.nothing").startswith("pack_b/nothing.py:1: there is no module")


def test_an_installed_module_ships_nothing() -> None:
    """The interpreter of the instances has it too."""
    write(
        {
            "lib/site-packages/pack_c/__init__.py": "",
            "lib/site-packages/pack_c/topo.py": TOPOLOGY.format(name="C"),
        }
    )
    sys.path.insert(0, str(Path("lib/site-packages").absolute()))
    loaded = load_definition("pack_c.topo")
    assert loaded.files == {}
    assert loaded.definition.component("numbers").object == "pack_c.topo:Numbers"


def test_component_that_only_the_files_own_path_finds() -> None:
    """Instances import the component's module, not the file that changes sys.path."""
    write(
        {
            "app/topo_l.py": "import sys\nsys.path.append('elsewhere')\n"
            "from heronshim.api import Topology\nfrom parts_l import Numbers\n"
            "class L(Topology):\n    numbers = Numbers.spec()\n",
            "elsewhere/parts_l.py": TOPOLOGY.format(name="Other"),
        }
    )
    said = problem("app/topo_l.py")
    assert said.startswith('app/topo_l.py:6: component "numbers": parts_l:Numbers comes from ')
    assert "elsewhere/parts_l.py, where instances do not find it; move it below " in said


def test_what_is_loaded_without_a_class() -> None:
    write(
        {
            "base_d.py": TOPOLOGY.format(name="Base"),
            "imports_d.py": "from base_d import Base\n",
            "derives_d.py": "from base_d import Base\nclass D(Base): pass\nE = D\n",
            "private_d.py": TOPOLOGY.format(name="_Shared") + "class D(_Shared): pass\n",
            "builder_d.py": TOPOLOGY.format(name="_Shared")
            + "from heronshim.api import TopologyBuilder\n"
            "made = TopologyBuilder('built-d').spout('numbers', Numbers.spec())\n",
            "built_d.py": TOPOLOGY.format(name="_Shared")
            + "from heronshim.api import TopologyBuilder\n"
            "made = TopologyBuilder('built-d').spout('numbers', Numbers.spec()).build()\n",
        }
    )
    assert load_definition("imports_d.py").definition.name == "Base"
    assert load_definition("derives_d.py").definition.name == "D"
    assert load_definition("private_d.py").definition.name == "D"
    assert load_definition("private_d.py:_Shared").definition.name == "_Shared"
    assert load_definition("builder_d.py").definition.name == "built-d"
    assert load_definition("built_d.py:made").definition.name == "built-d"
    assert load_definition("built_d.py", name="other").definition.name == "other"
    assert load_definition("builder_d.py", name="other").definition.name == "other"
    assert 'contains "/"' in problem("builder_d.py", name="a/b")
    assert 'contains "/"' in problem("built_d.py", name="a/b")


def test_child_gives_the_same_as_here(capfd: pytest.CaptureFixture[str]) -> None:
    write(
        {
            "topo_f.py": "import helper_f, threading, time\n"
            "threading.Thread(target=time.sleep, args=(600,)).start()\n"
            "print('said at import')\n" + TOPOLOGY.format(name="F"),
            "helper_f.py": "",
        }
    )
    loaded = load_in_child("topo_f.py:F", timeout_s=30, name="renamed")
    assert loaded.definition.name == "renamed"
    assert list(loaded.files) == ["helper_f.py", "topo_f.py"]
    assert loaded.definition.component("numbers").arguments == {"start": 3}
    said = capfd.readouterr()
    assert said.out == ""
    assert said.err == "said at import\n"


def test_child_does_not_look_into_the_working_folder() -> None:
    """Instances would not find there what the author's file imports."""
    write({"app/topo_g.py": "import beside_g\n" + TOPOLOGY.format(name="G"), "beside_g.py": ""})
    with pytest.raises(TopologyError, match=r'app/topo_g\.py:1: there is no module "beside_g"'):
        load_in_child("app/topo_g.py")


def test_child_needs_an_interpreter_with_heronshim(tmp_path: Path) -> None:
    write({"topo_h.py": TOPOLOGY.format(name="H")})
    with pytest.raises(TopologyError, match="cannot be run: No such file"):
        load_in_child("topo_h.py", python=str(tmp_path / "python"))
    with pytest.raises(TopologyError, match="ended with exit code 1"):
        load_in_child("topo_h.py", python="/bin/false")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("word_cuont.py", 'word_cuont.py: there is no such file. Did you mean "word_count.py"?'),
        ("nowhere/word_count.py", "there is no such file. The folder nowhere does not exist."),
        ("folder", "folder: is a folder; expected a Python file (it holds a.py, b.py)"),
        ("empty_folder", "is a folder; expected a Python file (it holds no Python file)"),
        ("words.jar", "words.jar: is not a Python file; expected a name that ends with .py"),
        ("topology.yaml:WordCount", "topology.yaml: is not a Python file"),
        ("two.dots.py", "has a dot in its name, so that it cannot be imported; rename the file"),
        ("pipe.py", "is not a regular file; expected Python source"),
        ("loop.py", "cannot be read: Too many levels of symbolic links"),
        ("dangling.py", "cannot be read: No such file or directory"),
        ("huge.py", "has 16777217 bytes; expected Python source of at most 16777216"),
        ("random.py", 'its name would hide the module "random" of Python; rename the file'),
        ("zmq.py", 'its name would hide the module "zmq" of the engine; rename the file'),
        ("pytest.py", "its name would hide"),
        ("word_count.py:", '"word_count.py:" ends with a colon; write word_count.py:Class'),
        ("no such thing", '"no such thing" names no topology; expected file.py:Class or'),
        ("", "'' names no topology; expected file.py:Class or package.module:Class"),
        ("nul\0.py", r"'nul\x00.py' names no topology; expected file.py:Class"),
        ("missing_module:T", 'missing_module: there is no module "missing_module"'),
        ("folder/../wrod_count.py", "there is no such file"),
        ("empty.py", "empty.py:1: there is no topology; expected a class that derives from"),
    ],
)
def test_wrong_files_are_said_clearly(spec: str, message: str) -> None:
    write(
        {
            "word_count.py": TOPOLOGY.format(name="T"),
            "folder/a.py": "",
            "folder/b.py": "",
            "words.jar": "PK",
            "topology.yaml": "",
            "two.dots.py": "",
            "random.py": "",
            "zmq.py": "",
            "pytest.py": "",
            "empty.py": "",
        }
    )
    Path("empty_folder").mkdir()
    os.mkfifo("pipe.py")
    Path("loop.py").symlink_to("loop.py")
    Path("dangling.py").symlink_to("nowhere.py")
    with Path("huge.py").open("wb") as file:
        file.truncate((16 << 20) + 1)
    assert message in problem(spec)


def test_unreadable_file(monkeypatch: pytest.MonkeyPatch) -> None:
    write({"secret.py": ""})
    Path("secret.py").chmod(0)
    if os.geteuid() == 0:
        # Root reads every file, so that the refusal is made.
        def refuse(self: Path) -> bytes:
            raise PermissionError(13, os.strerror(13), str(self))

        monkeypatch.setattr(Path, "read_bytes", refuse)
    expected = "secret.py: cannot be read: Permission denied; check the path and its permissions"
    assert problem("secret.py") == expected


def test_module_name_that_another_file_has() -> None:
    write({"one/topo_i.py": TOPOLOGY.format(name="T"), "two/topo_i.py": TOPOLOGY.format(name="T")})
    assert load_definition("one/topo_i.py").definition.name == "T"
    assert load_definition("one/topo_i.py").definition.name == "T"
    assert "its name would hide" in problem("two/topo_i.py")


def test_load_component_makes_the_object(tmp_path: Path) -> None:
    write({"package/comp_j.py": "class A:\n  class B:\n    def __init__(self, x): self.x = x\n"})
    made = load_component("comp_j:A.B", {"x": 3}, str(tmp_path / "package"))
    assert made.x == 3


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        (
            "comp_k:Missing",
            {},
            "component comp_k:Missing cannot be loaded: .*no attribute 'Missing'",
        ),
        ("comp_k:Countr", {}, 'Did you mean "Counter"'),
        ("nothing_k:A", {}, 'there is no module "nothing_k"'),
        ("comp_k:number", {}, "object of type int, not a class"),
        ("comp_k:Counter", {"y": 1}, "unexpected keyword argument 'y'"),
        ("comp_k:Counter", {"x": 1}, r"comp_k.py:4: ValueError.*low 1; the line is: raise"),
        ("broken_k:A", {}, "broken_k.py:1:7: syntax error"),
    ],
)
def test_load_component_names_what_is_wrong(
    tmp_path: Path, name: str, arguments: dict[str, object], message: str
) -> None:
    write(
        {
            "package/comp_k.py": "number = 3\nclass Counter:\n  def __init__(self, x):\n"
            "    raise ValueError(f'low {x}')\n",
            "package/broken_k.py": "class :\n",
        }
    )
    with pytest.raises(TopologyError, match=message):
        load_component(name, arguments, str(tmp_path / "package"))
