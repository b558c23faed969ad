"""What `make release` demands of packages, and which it refuses. The wheel itself is looked at by tests/test_newcomer.py."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib

import pytest

from scripts.release import contents, installing, materials
from scripts.release.building import packages, same
from scripts.release.steps import Failed, Steps, run
from tests.support.wheel import ROOT

pytestmark = pytest.mark.whole

VERSION = contents.version()
INFORMATION = {f"dynamorm_py-{VERSION}.dist-info/{name}" for name in contents.INFORMATION}
PACKAGE = contents.tracked()


def judged(*, more=(), less=()):
    return contents.judge((PACKAGE | INFORMATION | set(more)) - set(less), PACKAGE, VERSION)


def test_what_is_committed_and_declared_belongs_there():
    assert judged() == []
    assert {"dynamorm/py.typed", "dynamorm/ASSISTANTS.md"} <= contents.DATA <= PACKAGE


@pytest.mark.parametrize(
    "name", ["dynamorm/py.typed", "dynamorm/ASSISTANTS.md", "dynamorm/__init__.py", *sorted(INFORMATION)]
)
def test_a_file_that_is_missing_is_told(name):
    assert any(name in fault for fault in judged(less=[name]))


@pytest.mark.parametrize(
    "name",
    ["tests/conftest.py", "examples/blog/page.py", "dynamorm/notes.txt", "dynamorm/secret.pem", "dynamorm/scratch.py"],
)
def test_a_file_too_many_is_told(name):
    assert any(name in fault for fault in judged(more=[name]))


@pytest.mark.parametrize("name", ["dynamorm/tests/test_it.py", "dynamorm/demo/page.py", "dynamorm/data.bin"])
def test_what_is_committed_in_the_wrong_place_is_told(name):
    expected = PACKAGE | {name}
    assert contents.judge(expected | INFORMATION, expected, VERSION)


def test_two_builds_that_differ_are_refused(tmp_path):
    one, other = tmp_path / "one.whl", tmp_path / "other.whl"
    one.write_bytes(b"a")
    other.write_bytes(b"b")
    with pytest.raises(Failed, match="differ"):
        same(one, other)
    other.write_bytes(b"a")
    assert len(same(one, other)) == 64


def test_a_folder_with_something_else_is_refused(tmp_path):
    for name in ("a-1-py3-none-any.whl", "a-1.tar.gz"):
        (tmp_path / name).touch()
    assert packages(tmp_path).sdist.name == "a-1.tar.gz"
    (tmp_path / "notes.txt").touch()
    with pytest.raises(Failed, match="one wheel"):
        packages(tmp_path)


def test_checksums_are_as_sha256sum_reads_them(tmp_path):
    (tmp_path / "packages").mkdir()
    (tmp_path / "packages" / "a.whl").write_bytes(b"abc")
    assert materials.checksums(tmp_path) == 1
    run("sha256sum", "--check", "--strict", "SHA256SUMS", cwd=tmp_path)
    (tmp_path / "packages" / "a.whl").write_bytes(b"abd")
    with pytest.raises(Failed, match="sha256sum"):
        run("sha256sum", "--check", "--strict", "SHA256SUMS", cwd=tmp_path)


def test_a_command_that_fails_shows_what_it_said():
    with pytest.raises(Failed, match="said this"):
        run(sys.executable, "-c", "import sys; sys.exit('said this')")


def test_the_table_has_every_step_with_its_time(capsys):
    steps = Steps()
    with steps.step("first") as told:
        told.append("a figure")
    with steps.step("second"):
        pass
    assert [line.split()[0] for line in steps.table().splitlines()] == ["first", "second", "in"]
    assert "a figure" in steps.table()
    assert "... first" in capsys.readouterr().out


def test_each_extra_is_for_programs_or_for_the_repository():
    """A new one is put into one of the two; those for programs are installed for the second list of components."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert {*project["optional-dependencies"]} == installing.FOR_PROGRAMS | installing.OF_THE_REPOSITORY
    assert not installing.FOR_PROGRAMS & installing.OF_THE_REPOSITORY
    seen = re.split(r"[\[\],]", project["optional-dependencies"]["release"][0])
    assert {*seen} >= installing.FOR_PROGRAMS - {
        "local",
        "secure",
        "spool",
    }  # which bring what others bring, or nothing


def test_the_pages_that_are_run_show_code():
    for page in installing.PAGES:
        compile(installing.program_of(page), page, "exec")


def test_a_version_of_python_that_is_not_there_is_none():
    found = installing.python_of(f"{sys.version_info[0]}.{sys.version_info[1]}")
    assert found is not None
    assert installing.python_of("3.99") is None
    assert installing.python_of("3.99t") is None


def test_the_free_threaded_build_is_another_python():
    """Whatever `python3.13` is, `3.13t` is found only where its lock is off."""
    script = ROOT / "scripts" / "find_python.sh"
    for version in ("3.13t", "3.14t"):
        found = subprocess.run([script, version], capture_output=True, text=True, check=False)
        if found.returncode == 0:
            said = run(
                found.stdout.strip(), "-c", "import sysconfig; print(sysconfig.get_config_var('Py_GIL_DISABLED'))"
            )
            assert said.strip() == "1"
        else:
            assert found.stdout == ""
