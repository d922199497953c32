"""Fingerprint of the code behind a result: which modules it imports, and which libraries they use.

The import closure is computed from the source alone; nothing is imported. It starts at entry
modules and follows every ``import`` statement of first-party code, including those inside
functions. Modules loaded by name through `consilience.core.registry` are added for the plug-ins in
use. A module is hashed by its syntax tree without docstrings, so that comments, docstrings and
formatting do not invalidate results.

Reading all modules takes most of a second. A fingerprint can therefore be kept in a store, with the
state of all code that it was computed from; it holds as long as that state.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import os
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from importlib.machinery import EXTENSION_SUFFIXES, SOURCE_SUFFIXES
from pathlib import Path
from typing import Any, NamedTuple

from consilience.core import code_state, registry, study
from consilience.core.distributions import installed_version
from consilience.core.files import text_hash
from consilience.core.store import Store

PACKAGE = __name__.partition(".")[0]
REGISTRY = registry.__name__
KINDS = tuple(registry.SINGULAR)
SHORT = 12  # hexadecimal digits of a module's hash in a fingerprint

# Calls whose first argument, if a literal, names a package that is used without an import
# statement: pretrained weights, for example, are read from a package that is never imported.
LOADERS = {"__import__", "importlib.import_module", "importlib.util.find_spec"}
DATA_LOADERS = {"importlib.resources.files", "jinja2.PackageLoader"}

# Fields of syntax nodes that cannot change what the code computes.
IGNORED_FIELDS = {"ctx", "kind", "type_comment", "type_ignores"}


@dataclass(frozen=True)
class Fingerprint:
    """Code and library versions that a result depends on.

    Attributes
    ----------
    modules : dict of str to str
        Short hash by module name, and by path for the data files of a package. Sorted.
    libraries : dict of str to str or None
        Version by distribution name, without a local part such as ``+cpu``; None if it is not
        installed. Sorted.
    plugins : dict of str to list of str
        Names of all registered plug-ins of the kinds whose list the code queries. Sorted.
    """

    modules: dict[str, str]
    libraries: dict[str, str | None]
    plugins: dict[str, list[str]]

    @property
    def digest(self) -> str:
        """SHA-256 over modules, libraries and plug-ins, as 64 hexadecimal digits."""
        return text_hash(repr(self.modules), repr(self.libraries), repr(self.plugins))

    def document(self) -> dict[str, Any]:
        """Return the fingerprint as plain values for a JSON file."""
        return {
            "digest": self.digest,
            "plugins": self.plugins,
            "libraries": self.libraries,
            "modules": self.modules,
        }


def fingerprint(
    entries: Iterable[str],
    plugins: Mapping[str, Iterable[str]] | None = None,
    store: Path | None = None,
) -> Fingerprint:
    """Compute the fingerprint of everything that some modules import; see `CodeBase`.

    Parameters
    ----------
    entries : iterable of str
        Full names of the modules that compute the result.
    plugins : mapping of str to iterable of str, optional
        Names of the plug-ins in use by kind: ``{"modalities": ["eeg"]}``. Code that loads plug-ins
        of a kind that is not listed depends on all of that kind.
    store : Path, optional
        Folder of results by key, in which the fingerprint is kept.
    """
    return CodeBase(store).fingerprint(entries, plugins)


class Lookup(NamedTuple):
    """A call of the registry; None stands for a value that is not a literal."""

    function: str
    kind: str | None
    name: str | None


@dataclass(frozen=True)
class Source:
    """Content of one module that matters for the fingerprint.

    Attributes
    ----------
    hash : str
        Hash of its code.
    imports : frozenset of str
        Names of all modules it may import: ``from a import b`` gives ``a`` and ``a.b``.
    lookups : frozenset of Lookup
        Its calls of the registry.
    data_of : frozenset of str
        Packages whose data files it may read.
    """

    hash: str
    imports: frozenset[str] = frozenset()
    lookups: frozenset[Lookup] = frozenset()
    data_of: frozenset[str] = frozenset()


class CodeBase:
    """First-party modules, each read once, for any number of fingerprints.

    A change of a file after it was read is not noticed: create a new instance for each run.

    Parameters
    ----------
    store : Path, optional
        Folder of results by key, in which fingerprints are kept.

    Attributes
    ----------
    environment : str
        State of the interpreter and the libraries before any module was read.
    packages : dict of str to str
        State of every first-party package, before its first module was read.
    """

    def __init__(self, store: Path | None = None) -> None:
        self.environment = code_state.environment()
        self.packages: dict[str, str] = {}
        self._store = None if store is None else Store(store)
        self._sources: dict[str, Source | None] = {}
        self._folders: dict[str, list[Path]] = {}
        self._registered = functools.cache(registry.names)
        self._version = functools.cache(installed_version)

    def fingerprint(
        self, entries: Iterable[str], plugins: Mapping[str, Iterable[str]] | None = None
    ) -> Fingerprint:
        """Compute the fingerprint of everything that some modules import.

        Parameters
        ----------
        entries, plugins
            See the function `fingerprint`.

        Returns
        -------
        Fingerprint
            Equal for equal code and versions, on every machine.

        Raises
        ------
        ModuleNotFoundError
            If an entry module does not exist.
        """
        names, in_use = list(entries), _sorted(plugins)
        if self._store is None:
            return self._computed(names, in_use)
        key = text_hash(repr(names), repr(in_use))
        kept = self._store.load(key)
        if kept is not None and self.is_current(kept.outcome["code"]):
            return Fingerprint(**kept.outcome["fingerprint"])
        computed = self._computed(names, in_use)
        self._store.save(key, {"code": self.state(), "fingerprint": asdict(computed)}, None)
        return computed

    def state(self) -> dict[str, Any]:
        """Return the state of all code that was read so far."""
        return {"environment": self.environment, "packages": self.packages}

    def is_current(self, state: Mapping[str, Any]) -> bool:
        """Return whether code that was read by another instance has not changed since."""
        return state["environment"] == self.environment and all(
            self._package(name) == other for name, other in state["packages"].items()
        )

    def _package(self, name: str) -> str:
        if name not in self.packages:
            self.packages[name] = code_state.package(name)
        return self.packages[name]

    def _computed(self, entries: list[str], plugins: Mapping[str, list[str]]) -> Fingerprint:
        closure = self.closure(entries, plugins)
        modules = {name: source.hash for name, source in closure.sources.items()}
        for package in closure.union("data_of"):
            modules |= self._data_hashes(package)
        lookups = closure.union("lookups")
        listed = {
            kind for lookup in lookups if lookup.function == "names" for kind in _kinds(lookup)
        }
        return Fingerprint(
            dict(sorted(modules.items())),
            self._versions({name.partition(".")[0] for name in closure.external()}),
            {kind: self._registered(kind) for kind in sorted(listed)},
        )

    def closure(
        self, entries: Iterable[str], plugins: Mapping[str, Iterable[str]] | None = None
    ) -> Closure:
        """Return all first-party modules that some modules import, directly or not."""
        names = list(entries)
        for name in names:
            if self._source(name) is None:
                raise ModuleNotFoundError(f"no module named {name!r}", name=name)
        in_use = _sorted(plugins)
        closure = Closure({PACKAGE})
        todo = closure.add(names)
        while todo:
            name = todo.pop()
            if name in closure.sources or (source := self._source(name)) is None:
                continue
            closure.sources[name] = source
            todo |= closure.first_party(source.imports)
            # Python runs the ``__init__`` of every parent package first.
            todo |= {name[:end] for end, sign in enumerate(name) if sign == "."}
            loaded = {module for call in source.lookups for module in self._loaded(call, in_use)}
            todo |= closure.add(loaded - closure.sources.keys())
        closure.sources = dict(sorted(closure.sources.items()))
        return closure

    def _loaded(self, lookup: Lookup, in_use: Mapping[str, Sequence[str]]) -> Iterator[str]:
        """Yield the modules that a call of the registry may import."""
        if lookup.function not in ("get", "params"):
            return
        for kind in _kinds(lookup):
            names = in_use[kind] if kind in in_use else self._registered(kind)
            for name in names if lookup.name is None else (lookup.name,):
                name = registry.family(kind, name) or name
                light = f"{PACKAGE}.{kind}.params.{name}"
                if lookup.function == "params" and self._source(light) is not None:
                    yield light
                else:
                    yield from self._plugin(kind, name)

    def _plugin(self, kind: str, name: str) -> Iterator[str]:
        """Yield the module that defines a plug-in: a file here, else an entry point's module."""
        module = f"{PACKAGE}.{kind}.{name}"
        if self._source(module) is not None:
            yield module
        else:
            group = f"{PACKAGE}.{kind}"
            yield from (entry.module for entry in metadata.entry_points(group=group, name=name))

    def _source(self, name: str) -> Source | None:
        """Return the parsed source of a module; None if it does not exist."""
        if name not in self._sources:
            self._sources[name] = self._read(name)
        return self._sources[name]

    def _read(self, name: str) -> Source | None:
        self._package(name.partition(".")[0])
        parent, _, last = name.rpartition(".")
        # An attribute of a module is not a module; checking the parent first saves most look-ups.
        folders = self._package_folders(parent) if parent else _search_path(name)
        for folder in folders:
            if (init := folder / last / "__init__.py").is_file():
                return _parsed(init.read_bytes(), name)
            for suffix in (*SOURCE_SUFFIXES, *EXTENSION_SUFFIXES):
                if (file := folder / f"{last}{suffix}").is_file():
                    content = file.read_bytes()
                    if suffix in EXTENSION_SUFFIXES:
                        return Source(hashlib.sha256(content).hexdigest()[:SHORT])
                    return _parsed(content, parent)
        return Source("") if self._package_folders(name) else None

    def _package_folders(self, name: str) -> list[Path]:
        """Return a package's folders: none for a module, several for a namespace package."""
        if name not in self._folders:
            parent, _, last = name.rpartition(".")
            above = self._package_folders(parent) if parent else _search_path(name)
            folders = [folder / last for folder in above]
            if parent == PACKAGE and last in study.places():
                folders.append(study.places()[last])
            self._folders[name] = [folder for folder in folders if folder.is_dir()]
        return self._folders[name]

    def _versions(self, packages: Iterable[str]) -> dict[str, str | None]:
        """Return the versions of the distributions that provide top-level packages."""
        providers = _providers(tuple(sys.path), self.environment)
        # A library that is not installed counts too: code may fall back to something else.
        distributions = {
            distribution
            for package in set(packages) - sys.stdlib_module_names
            for distribution in providers.get(package, [package])
        }
        return {name: self._version(name) for name in sorted(distributions)}

    def _data_hashes(self, package: str) -> dict[str, str]:
        """Return the hashes of the files of a package that are not modules, by path."""
        hashes = {}
        for folder in self._package_folders(package):
            for top, folders, files in os.walk(folder):
                here = Path(top)
                folders[:] = [
                    name
                    for name in folders
                    if name != "__pycache__" and not (here / name / "__init__.py").is_file()
                ]
                for file in (here / name for name in files if not name.endswith((".py", ".pyc"))):
                    place = f"{package}/{file.relative_to(folder).as_posix()}"
                    hashes[place] = hashlib.sha256(file.read_bytes()).hexdigest()[:SHORT]
        return hashes


@dataclass
class Closure:
    """First-party modules that entry modules import, with the top-level packages they belong to."""

    packages: set[str]
    sources: dict[str, Source] = field(default_factory=dict)

    def add(self, names: Collection[str]) -> set[str]:
        """Make the packages of some modules first-party; return all modules to visit for it."""
        new = {name.partition(".")[0] for name in names} - self.packages
        self.packages |= new
        # Modules visited before may have imported the package while it counted as a library.
        return {*names, *(self.first_party(self.union("imports")) if new else ())}

    def first_party(self, names: Iterable[str]) -> set[str]:
        """Return those modules that belong to the closure's packages."""
        return {name for name in names if name.partition(".")[0] in self.packages}

    def external(self) -> set[str]:
        """Return the imported modules that belong to other packages."""
        imports: set[str] = self.union("imports")
        return imports - self.first_party(imports)

    def union(self, attribute: str) -> set[Any]:
        """Return the union of an attribute over all modules."""
        return set().union(*(getattr(source, attribute) for source in self.sources.values()))


def _sorted(plugins: Mapping[str, Iterable[str]] | None) -> dict[str, list[str]]:
    return {kind: sorted(items) for kind, items in sorted((plugins or {}).items())}


def _kinds(lookup: Lookup) -> tuple[str, ...]:
    """Return the kinds a call may refer to: all unless a literal states one."""
    return KINDS if lookup.kind is None else (lookup.kind,)


def _search_path(package: str) -> list[Path]:
    """Return the folders that contain a top-level package or module."""
    return [Path(place).parent for place in code_state.locations(package)]


# Keyed by content, so that the stages of one run, and tests that change one file, parse once.
@functools.lru_cache(maxsize=4096)
def _parsed(content: bytes, package: str) -> Source:
    """Hash a module's code and collect what it imports; `package` resolves relative imports."""
    reader = _Reader(package)
    reader.visit(ast.parse(content))
    return reader.source()


class _Reader:
    """Reads a syntax tree once: a canonical sequence of tokens, imports and calls.

    `ast.dump` differs between minor versions of Python, which add fields or omit empty ones. The
    tokens leave out every empty field, so that a new, unused field changes nothing.
    """

    def __init__(self, package: str) -> None:
        self.package = package
        self.tokens: list[str] = []
        self.imports: set[str] = set()
        self.data_of: set[str] = set()
        self._aliases: dict[str, str] = {}  # local name -> full name, of registry imports only
        self._calls: list[tuple[str, tuple[str | None, ...]]] = []

    def visit(self, node: ast.AST) -> None:
        """Append a node's tokens and collect what it imports or calls."""
        if _is_bare_string(node):
            return
        if isinstance(node, ast.If) and _is_type_checking(node.test):
            self._visit_value(node.orelse)
            return
        self._collect(node)
        self.tokens.append(type(node).__name__)
        for name in node._fields:
            if name not in IGNORED_FIELDS:
                value = getattr(node, name, None)
                if value is not None and value != []:
                    self.tokens.append(name)
                    self._visit_value(value)

    def _visit_value(self, value: Any) -> None:
        if isinstance(value, ast.AST):
            self.visit(value)
        elif isinstance(value, list):
            self.tokens.append("[")
            for item in value:
                self._visit_value(item)
            self.tokens.append("]")
        else:
            self.tokens.append(repr(value))

    def _collect(self, node: ast.AST) -> None:
        if isinstance(node, ast.Import):
            self._import(node)
        elif isinstance(node, ast.ImportFrom):
            self._import_from(node)
        elif isinstance(node, ast.Call):
            self._call(node)
        elif isinstance(node, ast.Name) and node.id == "__file__":
            self.data_of.add(self.package)

    def _import(self, node: ast.Import) -> None:
        for alias in node.names:
            self.imports.add(alias.name)
            self._aliases[alias.asname or alias.name] = alias.name

    def _import_from(self, node: ast.ImportFrom) -> None:
        base = node.module or ""
        if node.level:
            base = importlib.util.resolve_name("." * node.level + base, self.package)
        self.imports.add(base)
        for alias in node.names:
            full = f"{base}.{alias.name}"
            self.imports.add(full)
            self._aliases[alias.asname or alias.name] = full

    def _call(self, node: ast.Call) -> None:
        called = _dotted(node.func)
        if called is None:
            return
        literals = tuple(
            value.value
            if isinstance(value, ast.Constant) and isinstance(value.value, str)
            else None
            for value in node.args
        )
        self._calls.append((called, literals))

    def source(self) -> Source:
        """Return what the module states, with calls resolved under the names it imported."""
        imports, data_of, lookups = set(self.imports), set(self.data_of), set()
        for called, literals in self._calls:
            head, _, rest = called.partition(".")
            full = ".".join(filter(None, (self._aliases.get(head, head), rest)))
            module, _, function = full.rpartition(".")
            first, second = (*literals, None, None)[:2]
            if module == REGISTRY:
                lookups.add(Lookup(function, first, second))
            elif full in DATA_LOADERS:
                data_of.add(first or self.package)
            elif full in LOADERS and first:
                imports.add(first)
        digest = hashlib.sha256("\0".join(self.tokens).encode("utf-8", "surrogatepass"))
        hash_ = digest.hexdigest()[:SHORT]
        return Source(hash_, frozenset(imports), frozenset(lookups), frozenset(data_of))


def _is_bare_string(node: ast.AST) -> bool:
    """Return whether a statement is a string and nothing else: a docstring, most of all."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _is_type_checking(test: ast.expr) -> bool:
    """Return whether a condition is ``TYPE_CHECKING``, which is false when code runs."""
    return (_dotted(test) or "").rpartition(".")[2] == "TYPE_CHECKING"


def _dotted(node: ast.expr) -> str | None:
    """Return an expression such as ``a.b.c`` as text; None for any other."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        base = _dotted(node.value)
        return None if base is None else f"{base}.{node.attr}"
    return None


@functools.cache
def _providers(path: tuple[str, ...], _environment: str) -> dict[str, list[str]]:
    """Return the distributions on a search path that provide each top-level package.

    As `importlib.metadata.packages_distributions`, which takes three times as long: it creates an
    object for each of the 30,000 files in an environment.
    """
    providers: dict[str, set[str]] = {}
    for distribution in metadata.distributions(path=list(path)):
        listed = distribution.read_text("top_level.txt")
        record = distribution.read_text("RECORD") or ""
        names = (
            listed.split()
            if listed
            else {
                line.partition(",")[0].partition("/")[0].removesuffix(".py")
                for line in record.splitlines()
            }
        )
        # An interrupted uninstallation leaves folders without a name.
        for name in names if distribution.name else ():
            providers.setdefault(name, set()).add(distribution.name)
    return {name: sorted(distributions) for name, distributions in providers.items()}
