"""Rendering: the configuration files of the image, of the site and of every node.

The site part of an image is what one cluster file adds to it: option values, the node table,
rendered configuration, and for each node one small newc archive that boot unpacks after it
knows which node it is. No template engine is needed at boot, and nothing of one node's
identity stands in the common tree.
"""

from __future__ import annotations

import shlex
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from srbuild.bootmodule import Limits, Module
from srbuild.config.cluster import Cluster, Node
from srbuild.errors import ConfigError, ConflictError, MissingInputError, Origin
from srbuild.formats.cpio import CpioWriter
from srbuild.frozen import frozen
from srbuild.paths import ImagePath, image_path, parents
from srbuild.plan import Plan
from srbuild.requests import Rendered
from srbuild.templating import template_functions

if TYPE_CHECKING:
    from jinja2 import Environment, Template

ETC = "/etc/srbuild"

Values = Mapping[str, Mapping[str, tuple[str, ...]]]


@frozen
class RenderedFile:
    """A finished file: where it goes, its bytes, its mode, who asked, is it secret."""

    target: ImagePath
    data: bytes
    mode: int
    origin: Origin
    secret: bool = False


@frozen
class NodeView:
    """A node as templates see it: `address` with its prefix length, `ip` without.

    `options` are what every node may know of it: module → option → value, the shared ones.
    """

    name: str
    id: int
    macs: tuple[str, ...]
    address: str | None
    options: Mapping[str, Mapping[str, object]]

    @property
    def ip(self) -> str | None:
        """The node's address alone."""
        return self.address.split("/")[0] if self.address else None


@frozen
class ClusterView:
    """The cluster as templates see it."""

    name: str
    nodes: tuple[NodeView, ...]


def render_image(plan: Plan) -> list[RenderedFile]:
    """Render the templates that are the same on every site.

    Raises ConfigError for a template that fails, MissingInputError for one that can't be read.
    """
    functions = template_functions(plan.modules, None)
    return list(_render(_templates(plan, "image"), plan.modules, plan.config.values, functions))


def render_site(plan: Plan) -> list[RenderedFile]:
    """Render everything that follows from the cluster file; nothing without one.

    With `only_node` in the configuration the node table keeps all names, but the archive of
    that node alone is made. Raises ConfigError and MissingInputError as `render_image`, and
    ConflictError when the image would hold secrets of several nodes.
    """
    cluster = plan.config.cluster
    if cluster is None:
        return []
    site = _Site.of(plan, cluster)
    nodes = [n for n in cluster.nodes if plan.config.only_node in {None, n.name}]
    _refuse_shared_secrets(plan, nodes)
    files = site.files()
    for node in nodes:
        rendered = site.node_files(node)
        archive = _archive(rendered, plan.config.mtime)
        secret = any(file.secret for file in rendered)
        target = image_path(f"{ETC}/nodes.d/{node.name}.cpio")
        mode = 0o600 if secret else 0o644
        files.append(RenderedFile(target, archive, mode, cluster.origin, secret))
    return files


def render_nodes(plan: Plan, names: Collection[str]) -> Iterator[tuple[str, list[RenderedFile]]]:
    """Each of the nodes `names` with all files that it finds once it has booted, by path.

    Those of the image, of the site and its own; the templates, and so the errors, are those of
    `render_image` and `render_site`.
    """
    cluster = plan.config.cluster
    if cluster is None:
        return
    site = _Site.of(plan, cluster)
    common = [*render_image(plan), *site.files()]
    for node in cluster.nodes:
        if node.name in names:
            files = {file.target: file for file in (*common, *site.node_files(node))}
            yield node.name, [files[target] for target in sorted(files)]


@frozen
class _Site:
    """What all files of a cluster are rendered from."""

    plan: Plan
    cluster: Cluster
    values: Values
    views: Mapping[str, NodeView]
    context: Mapping[str, object]

    @classmethod
    def of(cls, plan: Plan, cluster: Cluster) -> _Site:
        values = _merge(plan.config.values, cluster.values)
        view = _view(cluster, plan.modules, values)
        context = {"cluster": view, **template_functions(plan.modules, cluster)}
        return cls(plan, cluster, values, {node.name: node for node in view.nodes}, context)

    def files(self) -> list[RenderedFile]:
        """The files that all nodes share."""
        modules, cluster, origin = self.plan.modules, self.cluster, self.cluster.origin
        templates = _templates(self.plan, "site")
        shared = _value_lines(modules, cluster.values)
        return [
            RenderedFile(image_path(f"{ETC}/site.values"), shared, 0o644, origin),
            RenderedFile(image_path(f"{ETC}/nodes"), _node_table(cluster), 0o644, origin),
            RenderedFile(image_path(f"{ETC}/machines"), _machine_table(cluster), 0o644, origin),
            *_render(templates, modules, self.values, self.context, cluster.nodes),
        ]

    def node_files(self, node: Node) -> list[RenderedFile]:
        """The files that are `node`'s own."""
        modules = self.plan.modules
        own = {**self.context, "node": self.views[node.name]}
        values = _merge(self.values, node.values)
        rendered = _render(_templates(self.plan, "node"), modules, values, own)
        return [*rendered, _node_values(modules, node, self.cluster.origin)]


def _templates(plan: Plan, scope: str) -> list[Rendered]:
    return [r for r in plan.requests if isinstance(r, Rendered) and r.scope == scope]


@cache
def _environment() -> Environment:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
        optimized=False,  # folding constants takes longer than rendering them once
    )
    environment.filters["sh"] = lambda value: shlex.quote(str(value))
    return environment


def _render(
    wishes: Iterable[Rendered],
    modules: Sequence[Module],
    values: Values,
    context: Mapping[str, object],
    nodes: Sequence[Node] = (),
) -> Iterator[RenderedFile]:
    """Render `wishes`; a template that comes out empty makes no file.

    `nodes` are those whose shared options the templates see.
    """
    full = {**context, "options": _options(modules, values)}
    every = [values, *(node.values for node in nodes)]
    with_secret = {m.name for m in modules if any(_holds_secret(m, one) for one in every)}
    for wish in wishes:
        data = _render_one(wish, full)
        if data.strip():
            secret = wish.secret and wish.module in with_secret
            yield RenderedFile(wish.target, data, wish.mode, wish.origin, secret)


@cache
def _compiled(text: str) -> Template:
    return _environment().from_string(text)


def _render_one(wish: Rendered, context: Mapping[str, object]) -> bytes:
    from jinja2 import TemplateError

    origin = Origin(str(wish.source))
    try:
        template = _compiled(wish.source.read_text("utf-8"))
        return template.render(**context).encode("utf-8", "surrogateescape")
    except OSError as error:
        raise MissingInputError(f"cannot read: {error.strerror}", origin=origin) from error
    except TemplateError as error:
        raise ConfigError(
            f"template for {wish.target}: {error}", origin=_place(wish, error)
        ) from error
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # Python's own words may hold the value that it stumbled over, a secret perhaps.
        problem = f"template for {wish.target}: {type(error).__name__} in an expression"
        raise ConfigError(problem, origin=_place(wish, error)) from error


def _place(wish: Rendered, error: Exception) -> Origin:
    """The line of the template that `error` came from, as far as that is known."""
    line = getattr(error, "lineno", None)  # of syntax errors
    trace = error.__traceback__
    while trace:  # jinja2 gives its frames the template's own line numbers
        if trace.tb_frame.f_code.co_filename == "<template>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return Origin(str(wish.source), f"line {line}" if line else "")


def _holds_secret(module: Module, values: Values) -> bool:
    """Whether any secret option of `module` is set."""
    given = values.get(module.name, {})
    return any(option.secret and given.get(name) for name, option in module.options.items())


def _view(cluster: Cluster, modules: Sequence[Module], site: Values) -> ClusterView:
    shared = [
        # Without limits, which are about options that are left out here.
        replace(m, limits=Limits(), options={n: o for n, o in m.options.items() if o.shared})
        for m in modules
    ]
    nodes = tuple(
        NodeView(n.name, n.id, n.macs, n.address, _options(shared, _merge(site, n.values)))
        for n in cluster.nodes
    )
    return ClusterView(cluster.name, nodes)


def _merge(below: Values, above: Values) -> Values:
    names = {*below, *above}
    return {name: {**below.get(name, {}), **above.get(name, {})} for name in names}


def _options(modules: Iterable[Module], values: Values) -> dict[str, dict[str, object]]:
    """Module → option → value for templates: a list where many, "" for what is not set."""
    found: dict[str, dict[str, object]] = {}
    for module in modules:
        given = values.get(module.name, {})
        row: dict[str, object] = {}
        for option in module.options.values():
            value = given.get(option.name, option.default)
            row[option.name] = list(value) if option.many else " ".join(value)
        found[module.name.replace("-", "_")] = row
    return found


def _value_lines(modules: Iterable[Module], values: Values) -> bytes:
    """`VARIABLE=value` lines; a secret is no shell variable, it goes into templates only."""
    lines = [
        f"{option.variable(module.name)}={' '.join(values[module.name][option.name])}\n"
        for module in modules
        for option in module.options.values()
        if not option.secret and option.name in values.get(module.name, {})
    ]
    return "".join(lines).encode("utf-8", "surrogateescape")


def _node_table(cluster: Cluster) -> bytes:
    rows = (f"{n.name} {n.id} {','.join(n.macs) or '-'}\n" for n in cluster.nodes)
    return "".join(rows).encode()


def _machine_table(cluster: Cluster) -> bytes:
    """`NAME KEY VALUE` lines, lower-case, for hooks/lib/machine.sh: who has which UUID, serial…."""
    rows = (f"{n.name} {key} {v.lower()}\n" for n in cluster.nodes for key, v in n.hardware.items())
    return "".join(rows).encode()


def _node_values(modules: Iterable[Module], node: Node, origin: Origin) -> RenderedFile:
    data = _value_lines(modules, node.values)
    return RenderedFile(image_path(f"{ETC}/node.values"), data, 0o644, origin)


def _refuse_shared_secrets(plan: Plan, nodes: list[Node]) -> None:
    secrets = {
        (module.name, option.name)
        for module in plan.modules
        for option in module.options.values()
        if option.secret and not option.shared
    }
    owners = [
        node.name
        for node in nodes
        if any((module, name) in secrets for module in node.values for name in node.values[module])
    ]
    if len(owners) > 1:
        cluster = plan.config.cluster
        raise ConflictError(
            f"one image would hold the secrets of several nodes: {', '.join(owners)}",
            "build one site part a node: srbuild build --part site --node NAME",
            cluster.origin if cluster else None,
        )


def _archive(files: Iterable[RenderedFile], mtime: int) -> bytes:
    """One node's newc archive: its files, sorted, each behind the directories above it."""
    chunks: list[bytes] = []
    writer = CpioWriter(lambda chunk: chunks.append(bytes(chunk)), mtime)
    for path, mode, data in _with_parents(sorted(files, key=lambda file: file.target)):
        writer.add(path[1:].encode(), mode, size=len(data), nlink=2 if stat.S_ISDIR(mode) else 1)
        writer.write(data)
    writer.close()
    return b"".join(chunks)


def _with_parents(files: Iterable[RenderedFile]) -> Iterator[tuple[str, int, bytes]]:
    seen: set[str] = set()
    for file in files:
        for folder in parents(file.target):
            if folder not in seen:
                seen.add(folder)
                yield folder, stat.S_IFDIR | 0o755, b""
        yield file.target, stat.S_IFREG | file.mode, file.data
