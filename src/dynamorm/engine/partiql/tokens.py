"""The tokens of PartiQL statements. It must not know grammar.

::

    word         letter { letter | digit | "_" | "$" }, where no keyword is meant
    "name"       a name in quotes, in which "" is a quote
    'text'       a text, in which '' is an apostrophe
    number       digits with a point and an exponent
    ?            a parameter
    marks        << >> <> != <= >= = < > ( ) [ ] { } , . : ; * + -
    -- to the end of the line, and /* to */, is nothing

The keywords are those that DynamoDB Local does not take for names. Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ql-reference.data-types.html
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from dynamorm.engine.refusal import Refusal, invalid

_scan = re.compile(
    r"""(?:\s++|--[^\n]*+|/\*(?:[^*]|\*(?!/))*+\*/)*+
    (?:(?P<word>[A-Za-z_$][A-Za-z0-9_$]*)
    |(?P<name>"(?:[^"]|"")*+")
    |(?P<text>'(?:[^']|'')*+')
    |(?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
    |(?P<mark><<|>>|<>|!=|<=|>=|[=<>()\[\]{},.:;*+?-])
    |(?P<end>\Z))""",
    re.VERBOSE,
).match

_WORDS: Final = (
    "ABSOLUTE ACTION ADD ALL ALLOCATE ALTER AND ANY ARE AS ASC ASSERTION AT AUTHORIZATION AVG BAG BEGIN BETWEEN BIT "
    "BIT_LENGTH BLOB BOOL BOOLEAN BY CASCADE CASCADED CASE CAST CATALOG CHAR CHAR_LENGTH CHARACTER CHARACTER_LENGTH CHECK "
    "CLOB CLOSE COALESCE COLLATE COLLATION COLUMN COMMIT CONFLICT CONNECT CONNECTION CONSTRAINT CONSTRAINTS CONTINUE "
    "CONVERT CORRESPONDING COUNT CREATE CROSS CURRENT CURRENT_DATE CURRENT_TIME CURRENT_TIMESTAMP CURRENT_USER CURSOR DATE "
    "DATE_ADD DATE_DIFF DEALLOCATE DEC DECIMAL DECLARE DEFAULT DEFERRABLE DEFERRED DELETE DESC DESCRIBE DESCRIPTOR "
    "DIAGNOSTICS DISCONNECT DISTINCT DO DOMAIN DOUBLE DROP ELSE END ESCAPE EXCEPT EXCEPTION EXEC EXECUTE EXISTS EXTERNAL "
    "EXTRACT FALSE FETCH FIRST FLOAT FOR FOREIGN FOUND FROM FULL GET GLOBAL GO GOTO GRANT GROUP HAVING IDENTITY IMMEDIATE "
    "IN INDEX INDICATOR INITIALLY INNER INPUT INSENSITIVE INSERT INT INTEGER INTERSECT INTERVAL INTO IS ISOLATION JOIN KEY "
    "LANGUAGE LAST LEFT LET LEVEL LIKE LIMIT LIST LOCAL LOWER MATCH MAX MIN MISSING MODIFIED MODULE NAMES NATIONAL NATURAL "
    "NCHAR NEW NEXT NO NOT NOTHING NULL NULLIF NUMERIC OCTET_LENGTH OF OLD ON ONLY OPEN OPTION OR ORDER OUTER OUTPUT "
    "OVERLAPS PAD PARTIAL PIVOT POSITION PRECISION PREPARE PRESERVE PRIMARY PRIOR PRIVILEGES PROCEDURE PUBLIC READ REAL "
    "REFERENCES RELATIVE REMOVE RESTRICT RETURNING REVOKE RIGHT ROLLBACK ROWS SCHEMA SCROLL SECTION SELECT SESSION "
    "SESSION_USER SET SEXP SIZE SMALLINT SOME SPACE SQL SQLCODE SQLERROR SQLSTATE STRING STRUCT SUBSTRING SUM SYMBOL "
    "SYSTEM_USER TABLE TEMPORARY THEN TIME TIMESTAMP TO TRANSACTION TRANSLATE TRANSLATION TRIM TRUE TUPLE UNION UNIQUE "
    "UNKNOWN UNPIVOT UPDATE UPPER USAGE USER USING VALUE VALUES VARCHAR VARYING VIEW WHEN WHENEVER WHERE WITH WORK WRITE "
    "ZONE"
)

KEYWORDS: Final = frozenset(_WORDS.split())
"""Words that name nothing unless they stand in quotes."""


class Token(NamedTuple):
    """A token: its text, without quotes where it had some, and what it is: word, name, text, number, mark or end."""

    text: str
    kind: str
    at: int


class Reader:
    """Reads a statement token by token."""

    __slots__ = ("place", "tokens")

    place: int
    tokens: list[Token]

    def __init__(self, statement: str) -> None:
        self.place = 0
        self.tokens = []
        at = 0
        while True:
            match = _scan(statement, at)
            if match is None or match.lastgroup is None:
                raise malformed(f"there is no such sign: character {at}")
            kind = match.lastgroup
            text = match[kind]
            if kind in ("name", "text"):
                text = text[1:-1].replace(text[0] * 2, text[0])
            self.tokens.append(Token(text, kind, match.start(kind)))
            if kind == "end":
                return
            at = match.end()

    @property
    def next(self) -> Token:
        """The token that comes next."""
        return self.tokens[self.place]

    @property
    def word(self) -> str:
        """The token that comes next in capitals, where it is a word without quotes."""
        token = self.tokens[self.place]
        return token.text.upper() if token.kind == "word" else ""

    def take(self) -> Token:
        """Go on behind the next token."""
        token = self.tokens[self.place]
        self.place += 1
        return token

    def sees(self, mark: str) -> bool:
        """Whether this mark comes next."""
        token = self.tokens[self.place]
        return token.kind == "mark" and token.text == mark

    def skip(self, mark: str) -> bool:
        """Go on behind this mark, where it comes next."""
        found = self.sees(mark)
        self.place += found
        return found

    def expect(self, mark: str) -> None:
        """Go on behind this mark. Raises: Refusal where it does not come next."""
        if not self.skip(mark):
            raise self.wrong()

    def says(self, *words: str) -> bool:
        """Go on behind these words, where they come next."""
        for number, word in enumerate(words):
            token = self.tokens[min(self.place + number, len(self.tokens) - 1)]
            if token.kind != "word" or token.text.upper() != word:
                return False
        self.place += len(words)
        return True

    def demand(self, *words: str) -> None:
        """Go on behind these words. Raises: Refusal where they do not come next."""
        if not self.says(*words):
            raise self.wrong()

    def name(self) -> str:
        """A name that comes next, in quotes or without. Raises: Refusal."""
        token = self.next
        if token.kind != "name" and (token.kind != "word" or token.text.upper() in KEYWORDS):
            raise self.wrong()
        self.place += 1
        return token.text

    def wrong(self) -> Refusal:
        """What is said where the next token makes no sense."""
        token = self.next
        return malformed("unexpected end" if token.kind == "end" else f"unexpected term found: character {token.at}")


def malformed(text: str) -> Refusal:
    """A statement that cannot be read."""
    return invalid(f"Statement wasn't well formed, can't be processed: {text}")
