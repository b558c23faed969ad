"""AWS's shared files, ``~/.aws/config`` and ``~/.aws/credentials``: read here as far as they hold settings.

Keys and secrets are left out as the files are read: credentials are `dynamorm.wire.credentials`'s. It must not know what
a setting means.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from dynamorm.errors import ConfigError

_SECRETS: Final = frozenset({"aws_access_key_id", "aws_secret_access_key", "aws_session_token"})

Section = dict[str, Any]
"""Values by name; a value is a text, or a dict of texts for a name with indented lines under it."""


class Profile(Struct, frozen=True):
    """One profile: its settings, its ``services`` section, and where they were read, as messages say it.

    Example: ``read_profile(os.environ, "dev").settings.get("region")``
    """

    name: str
    where: str
    settings: Section
    services: Section

    def told(self, name: str) -> str:
        """How messages call a setting of this profile."""
        return f"{name} of profile {self.name!r} in {self.where}"


def read_profile(environ: Mapping[str, str], named: str | None, told: str = "profile") -> Profile | None:
    """The profile's settings; the credentials file's go before the config file's, as in AWS's SDKs.

    ``named`` is the profile that ``told`` names; None means the one called default. None when that has no settings.

    Raises: ConfigError for a named profile or a ``services`` section that is in neither file, and for a file that
    cannot be read.

    Source: https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html
    """
    name = named or "default"
    config, credentials = shared_files(environ)
    if config is None and credentials is None:
        return None
    sections = {} if config is None else _read(config)
    keys = {} if credentials is None else _read(credentials)
    known = [one for one in (sections.get(_heading(name, sections)), keys.get(name)) if one is not None]
    where = " or ".join(path for path in (config, credentials) if path is not None)
    if not known:
        if named is None:
            return None
        raise ConfigError(f"{told}: no profile {name!r} is in {where}: add it there, or name another one")
    settings = {key: value for one in known for key, value in one.items()}
    return Profile(name, where, settings, _services(sections, settings, name, where))


def _services(sections: Mapping[str, Section], settings: Section, profile: str, where: str) -> Section:
    name = settings.get("services")
    if name is None:
        return {}
    found = sections.get(f"services {name}") if isinstance(name, str) else None
    if found is None:
        raise ConfigError(
            f"services of profile {profile!r} names {name!r}, but {where} has no section [services {name}]: "
            "add it, or remove the line"
        )
    return found


def _heading(name: str, sections: Mapping[str, Section]) -> str:
    """How the config file calls a profile: ``[profile dev]``; ``[default]`` may do without the word."""
    with_word = f"profile {name}"
    return name if name == "default" and with_word not in sections else with_word


def shared_files(environ: Mapping[str, str]) -> tuple[str | None, str | None]:
    """Where the config file and the credentials file are; None for one of a home folder that nobody names."""
    return (
        expanded(environ, environ.get("AWS_CONFIG_FILE", "").strip() or "~/.aws/config"),
        expanded(environ, environ.get("AWS_SHARED_CREDENTIALS_FILE", "").strip() or "~/.aws/credentials"),
    )


def expanded(environ: Mapping[str, str], path: str) -> str | None:
    """The path with the home folder of this environment; None where it has none."""
    if path[:1] != "~":
        return path
    if environ is os.environ:
        return os.path.expanduser(path)  # noqa: PTH111 - pathlib costs milliseconds at import
    home = environ.get("HOME") or environ.get("USERPROFILE")
    return f"{home}{path[1:]}" if home and path[1:2] in {"/", "\\"} else None


def _read(path: str) -> dict[str, Section]:
    """The sections of a file; none when there is no such file."""
    reason = ""
    try:
        with open(path, encoding="utf-8-sig") as file:  # noqa: PTH123 - as above
            return parse(file.read(), path)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError) as error:
        if not os.path.isfile(path):  # noqa: PTH113 - as above; a home folder that this user may not enter has no files
            return {}
        reason = type(error).__name__
    raise ConfigError(f"{path} cannot be read ({reason}): correct it, or set AWS_CONFIG_FILE to another file")


def parse(text: str, path: str) -> dict[str, Section]:
    """The sections of a file in AWS's form, without keys and secrets.

    Lines are ``[kind name]``, ``name = value``, indented ``name = value`` under a name without a value, and comments.

    Raises: ConfigError for any other line, with its number and nothing of its text.
    """
    sections: dict[str, Section] = {}
    section: Section | None = None
    last = ""
    for number, line in enumerate(text.splitlines(), 1):
        plain = line.strip()
        if not plain or plain[0] in "#;":
            continue
        if line[0] in " \t" and section is not None and last:
            _nest(section, last, plain)
            continue
        if plain[0] == "[":
            heading, closed, _ = plain[1:].partition("]")
            name = " ".join(heading.replace('"', " ").replace("'", " ").split())
            section, last = (sections.setdefault(name, {}), "") if closed and name else (None, "")
        elif section is not None:
            last = _set(section, plain)
        if section is None or (plain[0] != "[" and not last):
            raise ConfigError(f"line {number} of {path} is neither [section] nor name = value: correct it")
    for one in sections.values():
        for secret in _SECRETS & one.keys():
            del one[secret]
    return sections


def _nest(section: Section, last: str, plain: str) -> None:
    """An indented line: a value of its own under the last name, or the last value going on."""
    above = section[last]
    if above == "":
        above = section[last] = {}
    if isinstance(above, dict):
        _set(above, plain)
    elif last not in _SECRETS:
        section[last] = f"{above}\n{plain}"


def _set(section: Section, plain: str) -> str:
    """Take ``name = value``; the name, or nothing when the line is something else."""
    name, equals, value = plain.partition("=")
    if ":" in name or not equals:  # the other sign that Python's own parser takes, and botocore with it
        name, equals, value = plain.partition(":")
    name = name.strip().lower()
    if not equals or not name:
        return ""
    for sign in (" #", " ;", "\t#", "\t;"):
        value = value.partition(sign)[0]
    section[name] = value.strip()
    return name
