"""Check the layer rule: runtime → providers → supervision, no circles, nobody else's private names.

Reads the source of the three packages without importing it and reports, as `file:line: what`:

* an import of a higher layer, or of something that is no part of the product (tests, scripts);
* modules that import each other in a circle, wherever in the file the imports stand;
* a private name (one leading underscore) taken from another module, or a private module taken from
  outside the package that holds it.

Ends with 1 when anything is found.
"""

import argparse
import ast
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

LAYERS = ("supervision", "providers", "runtime")
"""From the lowest to the highest: each may import itself and those before it."""

OUTSIDE = ("tests", "scripts")
"""Top-level folders that no layer may import."""


@dataclass(frozen=True, order=True)
class Problem:
    """One broken rule and where it stands."""

    file: Path
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what}"


@dataclass
class Module:
    """One source file: its dotted name, and the project's modules it imports (with a line each)."""

    name: str
    file: Path
    tree: ast.Module
    is_package: bool
    imports: dict[str, int] = field(default_factory=dict)

    @property
    def package(self) -> str:
        """The package that relative imports of this module start from."""
        return self.name if self.is_package else self.name.rpartition(".")[0]


def read_modules(root: Path) -> dict[str, Module]:
    """Parse every Python file of the three layers below `root`."""
    modules: dict[str, Module] = {}
    for layer in LAYERS:
        for file in sorted((root / layer).rglob("*.py")):
            relative = file.relative_to(root)
            parts = relative.with_suffix("").parts
            is_package = parts[-1] == "__init__"
            name = ".".join(parts[:-1] if is_package else parts)
            tree = ast.parse(file.read_text(encoding="utf-8"), filename=str(relative))
            modules[name] = Module(name, relative, tree, is_package)
    return modules


def is_private(name: str) -> bool:
    """Whether a name says that it is its module's own business."""
    return name.startswith("_") and not (name.startswith("__") and name.endswith("__"))


def absolute(module: Module, node: ast.ImportFrom) -> str:
    """Return the dotted name that `from … import` means, relative dots resolved."""
    if not node.level:
        return node.module or ""
    base = module.package.split(".")
    base = base[: len(base) - node.level + 1]
    return ".".join([*base, *([node.module] if node.module else [])])


def private_module_problem(module: Module, target: str, line: int) -> Iterator[Problem]:
    """Report a private module that is imported from outside the package that holds it."""
    parts = target.split(".")
    for index, part in enumerate(parts):
        holder = ".".join(parts[:index])
        inside = module.package == holder or module.package.startswith(f"{holder}.")
        if is_private(part) and not inside:
            what = f"imports the private module {target} from outside {holder}"
            yield Problem(module.file, line, what)
            return


def check_module(module: Module, modules: Mapping[str, Module]) -> Iterator[Problem]:
    """Report one module's imports that break a rule, and note them all in `module.imports`."""
    own_layer = LAYERS.index(module.name.split(".", maxsplit=1)[0])
    bound: dict[str, str] = {}  # local name → the project's module it stands for

    def note(target: str, line: int) -> Iterator[Problem]:
        top = target.split(".", maxsplit=1)[0]
        if top in OUTSIDE:
            yield Problem(module.file, line, f"imports {target}, which is no part of the product")
        if top not in LAYERS:
            return
        if LAYERS.index(top) > own_layer:
            below = f"{LAYERS[own_layer]} may import only {' and '.join(LAYERS[: own_layer + 1])}"
            yield Problem(module.file, line, f"imports {target}: {below}")
        yield from private_module_problem(module, target, line)
        if target in modules and target != module.name:
            module.imports.setdefault(target, line)

    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from note(alias.name, node.lineno)
                bound[alias.asname or alias.name] = alias.name
        elif isinstance(node, ast.ImportFrom):
            source = absolute(module, node)
            for alias in node.names:
                target = f"{source}.{alias.name}"
                if target in modules:
                    yield from note(target, node.lineno)
                    bound[alias.asname or alias.name] = target
                    continue
                yield from note(source, node.lineno)
                in_project = source.split(".", maxsplit=1)[0] in LAYERS
                if in_project and is_private(alias.name) and source != module.name:
                    what = f"imports the private name {alias.name} of {source}"
                    yield Problem(module.file, node.lineno, what)

    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            target = bound.get(ast.unparse(node.value), "")
            if target in modules and f"{target}.{node.attr}" not in modules:
                what = f"uses the private name {node.attr} of {target}"
                yield Problem(module.file, node.lineno, what)


def find_circles(modules: Mapping[str, Module]) -> Iterator[Problem]:
    """Report modules that import each other (strongly connected components by Tarjan)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    groups: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for target in modules[name].imports:
            if target not in index:
                visit(target)
                low[name] = min(low[name], low[target])
            elif target in stack:
                low[name] = min(low[name], index[target])
        if low[name] == index[name]:
            position = stack.index(name)
            groups.append(stack[position:])
            del stack[position:]

    for name in modules:
        if name not in index:
            visit(name)
    for group in groups:
        if len(group) > 1:
            members = set(group)
            for name in sorted(group):
                for target, line in modules[name].imports.items():
                    if target in members:
                        others = ", ".join(sorted(members - {name}))
                        what = f"imports {target} in a circle of modules (with {others})"
                        yield Problem(modules[name].file, line, what)


def check(root: Path) -> list[Problem]:
    """Return every broken rule in the three layers below `root`, in reading order."""
    modules = read_modules(root)
    problems = [problem for module in modules.values() for problem in check_module(module, modules)]
    problems += find_circles(modules)
    return sorted(set(problems))


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the project (or `--root`), print what is wrong, return the exit code."""
    parser = argparse.ArgumentParser(
        prog="scripts/layers.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    here = Path(__file__).resolve().parent.parent
    parser.add_argument("--root", type=Path, default=here, help="folder with the three packages")
    root: Path = parser.parse_args(arguments).root
    missing = [layer for layer in LAYERS if not (root / layer).is_dir()]
    if missing:
        print(f"{root} has no folder {missing[0]}: is it the project's?", file=sys.stderr)
        return 2
    problems = check(root)
    for problem in problems:
        print(problem)
    print(f"{len(problems)} broken" if problems else "the layers hold")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
