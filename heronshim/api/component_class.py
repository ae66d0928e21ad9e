"""Checks an author's component class: its methods, its constructor, and where it lives."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heronshim.api.components import Bolt, CustomGrouping, Spout
from heronshim.api.declaration import class_lines
from heronshim.api.problems import kind_of, name_of
from heronshim.api.spec import SPEC_WORDS
from heronshim.core.plan.plain_values import value_problems
from heronshim.core.plan.topology import ComponentKind
from heronshim.errors import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from heronshim.api.declaration import Declaration
    from heronshim.api.problems import Problems

_CALLED: dict[type, dict[str, tuple[str, ...]]] = {
    Spout: {
        "next_tuple": (),
        "open": ("config", "context"),
        "ack": ("id",),
        "fail": ("id",),
        "activate": (),
        "deactivate": (),
        "close": (),
    },
    Bolt: {"execute": ("tup",), "prepare": ("config", "context"), "cleanup": ()},
    CustomGrouping: {
        "choose_tasks": ("values",),
        "prepare": ("context", "component", "stream", "tasks"),
    },
}
"""What the engine calls, with its arguments; the first of each class must be defined."""

_BOUND: dict[type, tuple[str, ...]] = {
    Spout: ("emit", "emit_direct", "report_error"),
    Bolt: ("emit", "emit_direct", "ack", "fail", "reset_timeout", "report_error"),
    CustomGrouping: (),
}
"""What the engine puts into each object: an author's method of that name would never run."""


def object_name(component_class: type) -> str:
    """Return what instances load, "module:QualName".

    A class of the script that runs is named by its file, as instances will import it.
    """
    module = component_class.__module__
    if module == "__main__":
        main = sys.modules["__main__"]
        spec = getattr(main, "__spec__", None)
        module = spec.name if spec else Path(getattr(main, "__file__", "") or "__main__").stem
    return f"{module}:{component_class.__qualname__}"


def check_class(
    component_class: type, base: type, place: Declaration, where: str, problems: Problems
) -> None:
    """Add what keeps the engine from making and calling objects of a class.

    `base` is Spout, Bolt or CustomGrouping; `place` is where the class is used, for when its
    own lines cannot be read; `where` begins each message.
    """
    lines = class_lines(component_class) or place
    name = name_of(component_class)

    def add(word: str, text: str) -> None:
        problems.add(lines.line_of(word), f"{where}: {text}")

    if "<locals>" in component_class.__qualname__:
        text = f"{name} is defined inside a function, where instances cannot import it"
        add("class", f"{text}; move it to the top level of the file")
    elif _found(component_class) is not component_class:
        text = f"{object_name(component_class)} means another object by now"
        add("class", f"{text}; give each class of the file a name of its own")
    required = next(iter(_CALLED[base]))
    for method, arguments in _CALLED[base].items():
        given = inspect.getattr_static(component_class, method)
        if given is not inspect.getattr_static(base, method):
            text = _method_problem(given, method, arguments)
        elif method == required:
            own = [word for word in dir(component_class) if not hasattr(base, word)]
            text = f"{_signature(method, arguments)} is missing; define it.{nearest(method, own)}"
        else:
            text = ""
        if text:
            add(method, f"{name}: {text}")
    for method in _BOUND[base]:
        given = inspect.getattr_static(component_class, method)
        if given is not inspect.getattr_static(base, method):
            text = f"{name} defines {method}, which belongs to the engine and would never run"
            add(method, f"{text}; rename it")
    if inspect.isabstract(component_class):
        missing = ", ".join(sorted(getattr(component_class, "__abstractmethods__", ())))
        add("class", f"{name} is abstract; define {missing}")


def _found(component_class: type) -> object:
    """Return what the module has under the class's name."""
    found: object = sys.modules.get(component_class.__module__)
    for part in component_class.__qualname__.split("."):
        found = getattr(found, part, None)
    return found


def _signature(method: str, arguments: tuple[str, ...]) -> str:
    return f"{method}({', '.join(('self', *arguments))})"


def _method_problem(given: Any, method: str, arguments: tuple[str, ...]) -> str:
    """Return what is wrong with an author's method, or an empty string."""
    expected = _signature(method, arguments)
    if isinstance(given, (staticmethod, classmethod)) or not callable(given):
        return f"{method} is {kind_of(given)}; expected the method {expected}"
    if inspect.iscoroutinefunction(given):
        return f'{method} is async; the engine calls plain methods: write "def {expected}"'
    if inspect.isgeneratorfunction(given):
        return f'{method} has a "yield", so that a call runs nothing; call self.emit instead'
    if not _binds(given, (None,) * (1 + len(arguments))):
        found = f"{method}{inspect.signature(given)}"
        return f"{found} cannot be called as {expected}; change its arguments"
    return ""


def _binds(function: Callable[..., Any], arguments: tuple[None, ...]) -> bool:
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError:
        return False
    return True


def check_arguments(
    component_class: type,
    call: str,
    values: Mapping[str, object],
    place: Declaration,
    where: str,
    problems: Problems,
) -> dict[str, object]:
    """Return the constructor arguments that are right and add what is wrong with the others.

    `call` is what the author wrote: "Count.spec" or "Grouping.custom".
    """
    name = name_of(component_class)
    words = SPEC_WORDS if call.endswith(".spec") else ()
    try:
        parameters = inspect.signature(component_class).parameters
    except ValueError:
        return dict(values)
    takes_any = any(item.kind is item.VAR_KEYWORD for item in parameters.values())
    named = {
        item.name
        for item in parameters.values()
        if item.kind in (item.KEYWORD_ONLY, item.POSITIONAL_OR_KEYWORD)
    }
    accepted: dict[str, object] = {}
    for key, value in values.items():
        if not takes_any and key not in named:
            text = _unknown_text(component_class, call, key, sorted(named), words)
            problems.add(place.line_of(key), f"{where}: {text}")
            continue
        wrong = value_problems({key: value}, "arguments")
        for line in wrong:
            advice = "pass plain values and make the object in the constructor"
            problems.add(place.line_of(key), f"{where}: {line}; {advice}")
        if not wrong:
            accepted[key] = value
    for item in parameters.values():
        if item.default is not item.empty or item.name in values:
            continue
        if item.kind in (item.VAR_KEYWORD, item.VAR_POSITIONAL):
            continue
        text = f'the constructor of {name} needs "{item.name}"; add '
        if item.name in words:
            text += f'args={{"{item.name}": ...}}, since {item.name}= is a word of spec itself'
        else:
            text += f"{item.name}=... to {call}(...)"
        problems.add(place.source, f"{where}: {text}")
    return accepted


def _unknown_text(
    component_class: type, call: str, key: str, named: list[str], words: tuple[str, ...]
) -> str:
    """Return the message for a keyword that nothing takes."""
    name = name_of(component_class)
    if issubclass(component_class, Spout):
        words = tuple(word for word in words if word != "inputs")
        if key == "inputs":
            text = f"{name} is a spout, and a spout takes no inputs"
            return f"{text}; remove them, or make {name} a Bolt"
    takes = ", ".join(named) or "none"
    text = f'{call}() does not know "{key}"; the constructor of {name} takes: {takes}'
    if words:
        text += f"; spec itself takes: {', '.join(words)}"
    return f"{text}.{nearest(key, [*named, *words])}"


def base_of(kind: ComponentKind) -> type[Spout] | type[Bolt]:
    """Return the base class of a kind of component."""
    return Spout if kind is ComponentKind.SPOUT else Bolt
