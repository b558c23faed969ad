"""A spool takes nothing from a directory that others can write to: what stands in its files is written to tables."""

from __future__ import annotations

import os
import stat

import pytest

from dynamorm.errors import IntegrityError
from dynamorm.plugins.batcher.spool import Spool

pytest.importorskip("fcntl")


@pytest.fixture
def directory(tmp_path):
    """One that everybody can write to, as volumes of containers are."""
    path = tmp_path / "spool"
    path.mkdir()
    path.chmod(0o777)
    return path


def test_a_spool_works_in_such_a_directory_and_its_files_are_its_owners(directory):
    before = os.umask(0)
    try:
        spool = Spool(directory, None)
        spool.sync(spool.add(b"record"))
        spool.close()
    finally:
        os.umask(before)
    names = {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}
    assert {"lock", "secret"} < names.keys()
    assert set(names.values()) == {0o600}
    again = Spool(directory, None)
    assert list(again.left.values()) == [b"record"]
    again.close()


@pytest.mark.parametrize("name", ["00000000000000000001.spool", "secret", "lock"])
def test_a_link_is_no_file_of_a_spool(directory, tmp_path, name):
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (directory / name).symlink_to(victim)
    with pytest.raises(IntegrityError, match="not made by this user"):
        Spool(directory, None)
    assert victim.read_bytes() == b"precious"


def test_a_link_in_the_place_of_a_secret_that_is_being_made_is_not_followed(directory, tmp_path):
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (directory / "secret.new").symlink_to(victim)
    Spool(directory, None).close()
    assert victim.read_bytes() == b"precious"
    assert not (directory / "secret").is_symlink()


@pytest.mark.parametrize("name", ["00000000000000000001.spool", "secret"])
def test_a_file_of_another_user_is_not_read(directory, monkeypatch, name):
    Spool(directory, None).close()
    (directory / name).touch()
    theirs = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: theirs)
    with pytest.raises(IntegrityError, match="not made by this user"):
        Spool(directory, None)
