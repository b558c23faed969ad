"""Puts a mutant into a process: into the functions that are alive, or into the module while it is imported."""

from __future__ import annotations

import gc
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from types import CodeType, FunctionType, ModuleType

from .mutants import Mutant, compiled, source_path

type_of_index = dict[tuple[str, str, int], list[FunctionType]]


def module_name(module: str) -> str:
    """The name under which a module is imported."""
    return "dynamorm." + module.removesuffix(".py").replace("/", ".")


def functions_of(modules: Sequence[str]) -> type_of_index:
    """All living functions of these modules, by file, name and first line. The modules are imported for it."""
    for module in modules:
        importlib.import_module(module_name(module))
    paths = {str(source_path(module)) for module in modules}
    found: type_of_index = {}
    gc.unfreeze()  # what is frozen is not shown
    for one in gc.get_objects():
        if type(one) is FunctionType and one.__code__.co_filename in paths:
            code = one.__code__
            found.setdefault((code.co_filename, code.co_qualname, code.co_firstlineno), []).append(one)
    gc.collect()
    gc.freeze()
    return found


def put_into(mutant: Mutant, functions: type_of_index) -> bool:
    """Change the living functions. False where the mutant is in none of them, or is none that can be put in."""
    path = str(source_path(mutant.module))
    changed = False
    codes: dict[tuple[str, int], list[CodeType]] = {}
    for code in _inner(compiled(mutant.module, mutant.place)):
        codes.setdefault((code.co_qualname, code.co_firstlineno), []).append(code)
    for scope in mutant.scopes:
        for function in functions.get((path, *scope), ()):
            if len(codes[scope]) != 1:
                return False
            try:
                function.__code__ = codes[scope][0]
            except ValueError:  # it holds other variables now
                return False
            changed = True
    return changed


def _inner(code: CodeType) -> Iterator[CodeType]:
    for one in code.co_consts:
        if isinstance(one, CodeType):
            yield one
            yield from _inner(one)


class Imported(importlib.abc.MetaPathFinder):
    """Lets one module be imported with its mutant."""

    def __init__(self, module: str, place: int) -> None:
        self.name = module_name(module)
        self.module = module
        self.place = place

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The module with its mutant."""
        del path, target
        if fullname != self.name:
            return None
        file = str(source_path(self.module))
        return importlib.util.spec_from_file_location(
            fullname, file, loader=_Loader(fullname, file, self.module, self.place)
        )


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, fullname: str, path: str, module: str, place: int) -> None:
        super().__init__(fullname, path)
        self.module = module
        self.place = place

    def get_code(self, fullname: str) -> CodeType:
        del fullname
        return compiled(self.module, self.place)


def at_import(module: str, place: int) -> None:
    """Import a module with its mutant, before pytest can: it imports the modules of its plugins in its own way."""
    if module_name(module) in sys.modules:
        raise RuntimeError(f"{module} has been imported already")
    sys.meta_path.insert(0, Imported(module, place))
    importlib.import_module(module_name(module))


__all__ = ["at_import", "functions_of", "put_into", "type_of_index"]
