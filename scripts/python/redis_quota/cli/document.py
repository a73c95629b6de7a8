"""The file of the configuration: YAML or JSON, ${ENV}, include; every value knows its file and line.

    plans.yaml ── include: [limits.yaml] ──▶ one map, and the place of each value in it:
                                             ("plans", "pro", "resources", "api", 1) ──▶ plans.yaml:7

A file goes over the files that it includes: maps are joined, everything else is replaced. Keys are text, whatever they
look like; a key that stands twice in one map is an error.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import yaml

from .servers import Fault
from .words import shown

ENV = re.compile(r"\$(\$\{)|\$\{(\w+)(?::-([^}]*))?\}")
INTEGER = re.compile(r"-?(?:0|[1-9]\d*)")
WORDS: dict[str, Any] = {"": None, "~": None, "null": None, "true": 1, "false": 0}
MERGE = "<<"
INCLUDES_MAX = 64  # files; more are a circle
DEPTH_MAX = 64
Path_ = tuple[object, ...]


class Document:
    """What the file says, `value`, and where."""

    def __init__(self, value: Any, places: dict[Path_, tuple[str, int]], name: str) -> None:
        self.value, self.places, self.name = value, places, name

    def place(self, *path: object) -> str:
        """`file:line` of the value, or of the nearest one around it."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.places:
                file, number = self.places[path[:length]]
                return f"{file}:{number}"
        return self.name


class Reader:
    """Makes a Document of one file; `files` are those that are being read, from the first one down. Without `expand`
    ${NAME} stays as it is written."""

    def __init__(self, name: str, files: tuple[str, ...], expand: bool = True) -> None:
        self.name, self.files, self.expand = name, files, expand
        self.places: dict[Path_, tuple[str, int]] = {}

    def fault(self, node: yaml.Node, text: str) -> Fault:
        return Fault(f"{self.name}:{node.start_mark.line + 1}: {text}")

    def read(self, text: str) -> Any:
        """The value of the text; JSON is read as the YAML that it nearly is."""
        is_json = text.lstrip()[:1] in ("{", "[")
        try:
            if is_json:
                json.loads(text)
                text = text.replace("\t", " ")
            node = yaml.compose(text, Loader=yaml.SafeLoader)
        except json.JSONDecodeError as error:
            raise Fault(f"{self.name}:{error.lineno}: no JSON: {error.msg}") from error
        except yaml.MarkedYAMLError as error:
            where = error.problem_mark or error.context_mark
            raise Fault(f"{self.name}:{where.line + 1 if where else 1}: no YAML: {error.problem}") from error
        except yaml.YAMLError as error:
            raise Fault(f"{self.name}: no YAML: {error}") from error
        return None if node is None else self.value(node, ())

    def value(self, node: yaml.Node, path: Path_) -> Any:
        """The node as maps, lists, text and integers."""
        if len(path) > DEPTH_MAX:
            raise self.fault(node, "is nested too deeply, or holds itself")
        self.places[path] = (self.name, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return self.map(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, number)) for number, item in enumerate(node.value)]
        assert isinstance(node, yaml.ScalarNode)
        return self.scalar(node)

    def map(self, node: yaml.MappingNode, path: Path_) -> dict[str, Any]:
        found: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise self.fault(key_node, "a key must be a text")
            key = joined(key_node.value)
            if key == MERGE and key_node.style is None:
                sources = value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
                for source in sources:
                    above = self.value(source, path)
                    if not isinstance(above, dict):
                        raise self.fault(source, "<< takes maps")
                    merged = {**above, **merged}
                continue
            if key in found:
                raise self.fault(key_node, f"{shown(key)} stands twice in this map")
            found[key] = self.value(value_node, (*path, key))
            self.places[(*path, key)] = (self.name, key_node.start_mark.line + 1)
        self.places[path] = (self.name, node.start_mark.line + 1)
        return {**merged, **found}

    def scalar(self, node: yaml.ScalarNode) -> Any:
        text = joined(str(node.value))
        if self.expand:
            text = ENV.sub(lambda match: self.variable(node, match), text)
        if node.style is not None:  # in quotes, or a block of text
            return text
        if INTEGER.fullmatch(text):
            return int(text)
        return WORDS.get(text, text)

    def variable(self, node: yaml.Node, match: re.Match[str]) -> str:
        literal, name, default = match.groups()
        if literal:
            return "${"
        found = os.environ.get(name)
        if found is None and default is None:
            raise self.fault(node, f"the environment has no {name}; ${{{name}:-word}} gives a default")
        return str(default if found is None else found)

    def document(self, text: str) -> Document:
        """The file with what it includes."""
        value = self.read(text)
        document = Document(value, self.places, self.name)
        if not isinstance(value, dict) or "include" not in value:
            return document
        included = value.pop("include")
        files = [included] if isinstance(included, str) else included
        if not isinstance(files, list) or not all(isinstance(file, str) for file in files):
            raise Fault(f"{document.place('include')}: 'include' must be a file or a list of files")
        for file in reversed(files):  # the last one goes over the others
            path = Path(self.name).parent / file
            if str(path) in self.files or len(self.files) > INCLUDES_MAX:
                raise Fault(f"{document.place('include')}: {file} includes itself")
            below = Reader(str(path), (*self.files, str(path)), self.expand).document(
                read_text(path, document.place("include")))
            document = over(document, below)
        return document


def joined(text: str) -> str:
    """Two escapes of JSON that make one letter together are that letter."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


def over(upper: Document, below: Document) -> Document:
    """Maps are joined, everything else is the upper one's."""
    def laid(above: Any, under: Any) -> Any:
        if not (isinstance(above, dict) and isinstance(under, dict)):
            return above
        return {**under, **{key: laid(value, under[key]) if key in under else value for key, value in above.items()}}
    return Document(laid(upper.value, below.value), {**below.places, **upper.places}, upper.name)


def read_text(path: Path, where: str = "") -> str:
    """The text of a file in UTF-8; `where` is the place that names it."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise Fault(f"{path}: no UTF-8: {error.reason} at byte {error.start}") from error
    except OSError as error:
        raise Fault(f"{where + ': ' if where else ''}{path}: {error.strerror}") from error


def read_document(name: str, text: str | None = None, expand: bool = True) -> Document:
    """The file of that name; of a text that was read already (standard input) it is the name to show."""
    if text is None:
        text = read_text(Path(name))
    return Reader(name, (name,), expand).document(text)


# ---- what a configuration may hold -------------------------------------------------------------------------------

RULES = "rules"  # what is expected: a list of texts
ANY = "any"  # other commands read it
ENTRIES: dict[str, dict[str, Any]] = {
    "overrides": {"subject": str, "rules": RULES, "until": int},
    "subjects": {"subject": str, "list": str, "until": int},
    "ranges": {"range": str, "list": str, "until": int}, "schedules": {"when": str, "rules": RULES}}
PENDING: dict[str, Any] = {"resource": str, "rules": RULES, "apply": str, "effective": int}
SECTIONS: dict[str, Any] = {"plans": dict, "policies": dict, "sinks": ANY, "forward": ANY}
APPLY = ("FULL", "PRORATE", "END")
INSTANTS = ("until", "effective")  # Unix ms; 0 = none
INSTANT_MIN = 10**11  # below: seconds, as the server says, too
OPTIONAL = ("until", "revision", "pending", "block_ms", "shadow", "sinks", "forward", *ENTRIES)
WHEN_WORDS = 3


class Checker:
    """Names the first thing that a configuration must not hold, with its place."""

    def __init__(self, document: Document) -> None:
        self.document = document

    def fault(self, path: Path_, where: str, text: str) -> Fault:
        return Fault(f"{self.document.place(*path)}: {where}: {text}")

    def expect(self, value: Any, fields: dict[str, Any], where: str, path: Path_) -> None:
        """A map of these fields and no others; the optional ones may be left out."""
        if not isinstance(value, dict):
            raise self.fault(path, where, "must be a map")
        for field in value.keys() - fields.keys():
            raise self.fault((*path, field), where, f"unknown field '{field}', the fields are: {', '.join(fields)}")
        for field, kind in fields.items():
            if field not in value:
                if field in OPTIONAL:
                    continue
                raise self.fault(path, where, f"'{field}' is missing")
            self.expect_kind(value[field], kind, where, (*path, field))

    def expect_kind(self, found: Any, kind: Any, where: str, path: Path_) -> None:
        field = path[-1]
        if kind is ANY:
            return
        if kind is RULES:
            right = bool(found) and isinstance(found, list) and all(isinstance(rule, str) and rule.split()
                                                                    for rule in found)
        else:
            right = isinstance(found, kind) and (kind is not int or found >= 0)
        if not right:
            wanted = {RULES: "a list of rules", str: "a text", int: "an integer of at least 0", dict: "a map",
                      list: "a list"}[kind]
            raise self.fault(path, where, f"'{field}' must be {wanted}")
        if field in INSTANTS and 0 < found < INSTANT_MIN:
            raise self.fault(path, where,
                             f"'{field}' is in Unix ms, {found} is too small. Unix seconds? write {found}000")

    def plan(self, name: str, plan: Any) -> None:
        path, where = ("plans", name), f"plan {shown(name)}"
        # Older versions of this program wrote a revision: each server counts its own.
        self.expect(plan, {"revision": int, "resources": dict, "pending": list}, where, path)
        for resource, rules in plan["resources"].items():
            at = (*path, "resources", resource, RULES)
            self.expect_kind(rules, RULES, f"{where}, resource {shown(resource)}", at)
        for number, entry in enumerate(plan.get("pending", [])):
            self.expect(entry, PENDING, f"{where}, pending[{number}]", (*path, "pending", number))
            if entry["apply"] not in APPLY:
                raise self.fault((*path, "pending", number, "apply"), f"{where}, pending[{number}]",
                                 f"'apply' must be one of {', '.join(APPLY)}")

    def policy(self, name: str, policy: Any) -> None:
        path, where = ("policies", name), f"policy {shown(name)}"
        self.expect(policy, {"rules": RULES, "block_ms": int, "shadow": int, **dict.fromkeys(ENTRIES, list)}, where,
                    path)
        for kind, fields in ENTRIES.items():
            for number, entry in enumerate(policy.get(kind, [])):
                at, inner = (*path, kind, number), f"{where}, {kind}[{number}]"
                self.expect(entry, fields, inner, at)
                if entry.get("list", "permit") not in ("permit", "refuse"):
                    raise self.fault((*at, "list"), inner, "'list' must be permit or refuse")
                if kind == "schedules" and len(entry["when"].split()) != WHEN_WORDS:
                    raise self.fault((*at, "when"), inner, "'when' must be like: Europe/Berlin mon-fri 09:00-17:00")

    def all(self) -> None:
        self.expect(self.document.value, SECTIONS, "the file", ())
        for name, plan in self.document.value["plans"].items():
            self.plan(name, plan)
        for name, policy in self.document.value["policies"].items():
            self.policy(name, policy)


def checked(document: Document) -> Document:
    """The document, once all that can be seen without a server is right."""
    Checker(document).all()
    return document
