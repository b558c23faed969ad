"""The scanners of `make lint`: a planted key is found, and each exception has its reason."""

from __future__ import annotations

import base64
import secrets as drawn
from string import ascii_letters, ascii_uppercase

import pytest

from tests.support.wheel import ROOT

pytest.importorskip("detect_secrets")  # of the extra `lint`, which the matrix of versions does not install

from scripts.scans import allowed, secrets, weaknesses

pytestmark = [pytest.mark.once, pytest.mark.whole]

ALLOWED = allowed.read(allowed.LIST.read_text("utf-8"))


def planted():
    """Keys of several kinds, drawn anew for each run; none of them stands in this file."""
    base32 = base64.b32encode(drawn.token_bytes(10)).decode()
    random = base64.b64encode(drawn.token_bytes(48)).decode()
    return {
        "an access key of AWS": f'KEY = "AKIA{base32}"\n',
        "a secret key of AWS": f'aws_secret_access_key = "{random}"\n',
        "a private key": f"-----BEGIN RSA {'PRIVATE'} KEY-----\n{random}\n",
        "hexadecimal digits": f'KEY = "{drawn.token_hex(32)}"\n',
        "a token of GitHub": f'TOKEN = "gh{"p"}_{drawn.token_hex(18)}"\n',
        "a webhook secret": f'webhook = "whsec_{random}"\n',
        "a password in an address": f'URL = "https://{"admin"}:{drawn.token_hex(8)}@db.example.com/"\n',
        "a password": f'{"pass"}word = "{drawn.token_hex(12)}"\n',
    }


@pytest.mark.parametrize("kind", planted())
@pytest.mark.parametrize("path", ["src/dynamorm/planted.py", "docs/planted.txt", "settings.yaml"])
def test_a_planted_key_is_found(tmp_path, kind, path):
    text = planted()[kind]
    if path.endswith(".yaml"):
        text = text.replace(" = ", ": ")
    file = tmp_path / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("# a comment\n\nanything: 1\n" + text)
    found = secrets.secrets(tmp_path, [path])
    assert found, kind
    assert {one.line for one in found} == {4}
    assert allowed.judge(found, [line for line in ALLOWED if line.covers(found[0])])


@pytest.mark.parametrize("kind", ["an id", "an id without quotes", "a secret"])
def test_a_key_without_a_digit_is_found(tmp_path, kind):
    capitals, letters = ("".join(drawn.choice(of) for _ in range(64)) for of in (ascii_uppercase, ascii_letters))
    key = {
        "an id": f'"AKIA{capitals[:16]}"',
        "an id without quotes": f"AKIA{capitals[:16]}",
        "a secret": f'"{letters}"',
    }[kind]
    (tmp_path / "plain.py").write_text(f"x = 1\nkey: {key}\n")
    assert [one.line for one in secrets.secrets(tmp_path, ["plain.py"])][:1] == [2]


def test_a_file_without_keys_is_quiet(tmp_path):
    (tmp_path / "plain.py").write_text('"""Nothing to hide."""\n\nname = "dynamorm"\ncount = 12345678901234567890\n')
    assert secrets.secrets(tmp_path, ["plain.py"]) == []


def test_a_key_in_a_test_is_found_where_a_made_up_password_is_not(tmp_path):
    text = planted()["an access key of AWS"] + '\nsecret = "hunter2"\n'
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_it.py").write_text(text)
    found = secrets.secrets(tmp_path, ["tests/test_it.py"])
    left = [one for one in found if not any(line.covers(one) for line in ALLOWED)]
    assert {one.rule for one in left} == {"AWS_Access_Key"}


def test_a_weakness_is_found_whatever_it_says_of_itself(tmp_path):
    """A ``nosec`` hides nothing; a ``noqa`` of the same rule with its reason does, and one without a reason does not."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "weak.py").write_text(
        "import subprocess\n"
        "def one(text): subprocess.run(text, shell=True)  # nosec\n"
        "def two(text): return eval(text)  # noqa: S307\n"
        "def three(text): return eval(text)  # noqa: S307 - of the program's own source\n"
        "def four(text): return eval(text)  # noqa: E501 - it is long\n"
    )
    found = weaknesses.weaknesses(weaknesses.started(tmp_path, ("src",)), tmp_path)
    assert [(one.line, one.rule) for one in found] == [(2, "B602"), (3, "B307"), (5, "B307")]
    assert len(allowed.judge(found, [])) == 3


def test_bandit_that_could_not_read_a_file_is_no_success(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "broken.py").write_text("def (:\n")
    with pytest.raises(RuntimeError, match="bandit"):
        weaknesses.weaknesses(weaknesses.started(tmp_path, ("src",)), tmp_path)


@pytest.mark.parametrize(
    "line", ["a.py  B608", "a.py  B608  1", "a.py  B608  1  short", "a.py  B608  many  a reason that is long enough"]
)
def test_an_exception_without_a_reason_is_refused(line):
    with pytest.raises(ValueError, match="an exception needs"):
        allowed.read(line)


def test_the_list_names_nothing_twice():
    with pytest.raises(ValueError, match="twice"):
        allowed.read("a.py  B608  1  a reason that is long enough\na.py  B608  1  another reason for it\n")


def test_what_is_more_or_less_than_the_list_allows_is_told():
    (line,) = allowed.read("src/*.py  B608  2  a reason that is long enough")
    one, two, three = (allowed.Found("src/a.py", number, "B608", "told") for number in (1, 2, 3))
    assert allowed.judge([one, two], [line]) == []
    assert len(allowed.judge([one, two, three], [line])) == 1
    assert len(allowed.judge([one], [line])) == 1
    assert len(allowed.judge([], [line])) == 1
    assert len(allowed.judge([allowed.Found("tests/a.py", 1, "B608", "told")], [line])) == 2


def test_another_text_in_the_place_of_an_allowed_one_is_found():
    (line,) = allowed.read(f"a.py  Secret_Keyword  {'0' * 12}  a reason that is long enough")
    right, wrong = (allowed.Found("a.py", 1, "Secret_Keyword", "told", digest * 40) for digest in "01")
    assert allowed.judge([right], [line]) == []
    assert len(allowed.judge([wrong], [line])) == 2


def test_each_path_of_the_list_is_there():
    assert [line.path for line in ALLOWED if not any(ROOT.glob(line.path)) and line.path.count("golden") == 0] == []
