"""A boot module as its module.toml declares it.

A module is data (`modules/<kind>/<name>/module.toml`) and shell scripts beside it; nothing of
it runs at build time. A dataclass below is the description of its table in module.toml.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Annotated, ClassVar, Final, Literal, TypeAlias, get_args

from srbuild.config import values
from srbuild.config.convert import GIVEN, TABLE_KEY, toml_key
from srbuild.errors import Origin
from srbuild.frozen import frozen
from srbuild.paths import HostPath, ImagePath, image_path

Kind: TypeAlias = Literal[
    "base", "net", "block", "volume", "cluster", "fs", "container", "rescue", "server"
]
KINDS: Final[tuple[str, ...]] = get_args(Kind)  # in the order in which they boot
RUN_TIMEOUT: Final = 120  # seconds


def _matching(pattern: str, what: str) -> Callable[[object], str]:
    """A converter: a string that matches `pattern` wholly, or "must be `what`"."""
    compiled = re.compile(pattern)

    def check(raw: object) -> str:
        if not isinstance(raw, str) or not compiled.fullmatch(raw):
            raise ValueError(f"{raw!r} must be {what}")
        return raw

    return check


def _image_path(raw: object) -> ImagePath:
    return image_path(values.parse("path", raw))


def _timeout(raw: object) -> int:
    return int(values.parse("seconds", raw))


def _mode(raw: object) -> int:
    if not isinstance(raw, str) or not re.fullmatch(r"0?[0-7]{3}", raw):
        raise ValueError('must be a mode in octal as a string, such as "0644"')
    return int(raw, 8)


Name = Annotated[str, _matching(r"[a-z0-9][a-z0-9-]{0,30}", "a name in a-z, 0-9 and -")]
FileName = Annotated[
    str, _matching(r"[A-Za-z0-9_][A-Za-z0-9_.@-]*(/[A-Za-z0-9_][A-Za-z0-9_.@-]*)*", "a file's name")
]
CmdlineName = Annotated[
    str, _matching(r"[A-Za-z0-9_.-]+", "a kernel parameter's name, without '='")
]
Target = Annotated[ImagePath, _image_path]


@frozen
class Option:
    """A setting of a module. `default` holds normalised values, none when there is no default.

    `needs` are options of the same module that must be set where this one is. `scope` tells
    whether nodes may have values of their own; `reason` is said to the user when a required
    option is missing. A number lies between `least` and `most`. `refused` are words that a
    `flags` option does not take (`soft`, `vers` for `vers=…` too, or `sec=krb5`), each with the
    reason. `when` ("OPTION=VALUE" of the same module) bounds where it is required. A value of
    one with `brings` asks for the boot module that offers the name which begins so and ends in
    the value. What one node has of a `shared` option every node may know: site templates see it, be
    it a secret or not, as `node.options`.
    """

    name: str = field(metadata=TABLE_KEY)
    type: values.OptionType
    help: str
    default: Annotated[tuple[str, ...], lambda raw: raw] = ()
    many: bool = False
    required: Literal["no", "always", "several-nodes"] = "no"
    secret: bool = False
    scope: Literal["site", "node"] = "site"
    choices: tuple[CmdlineName, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)
    cmdline: tuple[CmdlineName, ...] = ()
    reason: str = ""
    needs: tuple[CmdlineName, ...] = ()
    least: int | None = None
    most: int | None = None
    when: str = ""
    brings: str = ""
    shared: bool = False
    pattern: str = ""
    form: str = ""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", self.name):
            raise ValueError(f"{self.name!r} must be a name in a-z, 0-9 and _")
        if self.type == "enum" and not self.choices:
            raise ValueError("an enum needs its choices")
        if self.choices and self.type not in {"enum", "word", "flags"}:
            raise ValueError(f"choices are for enum, word and flags, not for {self.type}")
        if (self.least, self.most) != (None, None) and self.type not in {"int", "seconds"}:
            raise ValueError(f"least and most are for int and seconds, not for {self.type}")
        if self.refused and self.type != "flags":
            raise ValueError(f"refused words are for flags, not for {self.type}")
        for text in (*self.refused, *self.refused.values()):
            if not text or not text.isprintable():
                raise ValueError("a refused word and its reason are printable text")
        if self.secret and self.cmdline:
            raise ValueError("a secret has no place on the kernel command line")
        if self.secret and self.default != ():
            raise ValueError("a secret has no default")
        if self.required != "no" and self.default != ():
            raise ValueError("what has a default is never missing: drop required or default")
        self._check_when_and_shared()
        self._check_pattern()

    def _check_pattern(self) -> None:
        if bool(self.pattern) != bool(self.form):
            raise ValueError("pattern and form go together: what matches, and that in words")
        if self.pattern and self.cmdline:
            # The boot checks values by their type alone.
            raise ValueError("a value from the kernel command line is not checked by a pattern")
        try:
            re.compile(self.pattern)
        except re.error as error:
            raise ValueError(f"pattern is no regular expression: {error}") from error

    def _check_when_and_shared(self) -> None:
        if self.when and not re.fullmatch(r"[a-z][a-z0-9_]*=\S+", self.when):
            raise ValueError(f"{self.when!r} must be OPTION=VALUE")
        if self.when and self.required == "no":
            raise ValueError("`when` says when an option is required, which this one never is")
        if self.shared and self.scope != "node":
            raise ValueError("a site's option is shared anyway: `shared` is for scope node")

    def variable(self, module: str) -> str:
        """The shell variable that holds the option of `module` at boot."""
        return f"SR_{module}_{self.name}".upper().replace("-", "_")

    def applies(self, values: Mapping[str, tuple[str, ...]]) -> bool:
        """Whether the module's own `values` make what `when` says true."""
        name, _, value = self.when.partition("=")
        return not name or value in values.get(name, ())

    def parse(self, raw: object) -> str:
        """One value's normal form; ValueError with a sentence."""
        value = values.parse(self.type, raw, self.choices)
        if self.pattern and not re.fullmatch(self.pattern, value):
            raise ValueError(f"{value!r} is not {self.form}")
        if self.least is not None and int(value) < self.least:
            raise ValueError(f"{value} is less than {self.least}")
        if self.most is not None and int(value) > self.most:
            raise ValueError(f"{value} is more than {self.most}")
        for word in value.split(",") if self.refused else ():
            for name in (word, word.partition("=")[0]):
                if name in self.refused:
                    raise ValueError(f"{word!r} is not taken: {self.refused[name]}")
        if self.many and (not value or " " in value):
            raise ValueError(f"{value!r}: a value of a list is neither empty nor holds spaces")
        return value


@frozen
class Template:
    """A file rendered at build time, for the image, the site or each node.

    `source` lies in the module's folder.
    """

    source: FileName
    target: Target
    scope: Literal["image", "site", "node"] = "image"
    mode: Annotated[int | None, _mode] = None
    secret: bool = False

    def __post_init__(self) -> None:
        if self.secret and self.scope == "image":
            raise ValueError("a secret file belongs to the site or to a node, not to every image")
        if self.secret and self.mode is not None and self.mode & 0o077:
            raise ValueError("a secret file is for root only: mode 0600 or less")

    @property
    def file_mode(self) -> int:
        """The mode of the rendered file."""
        return self.mode if self.mode is not None else 0o600 if self.secret else 0o644


@frozen
class FileWish:
    """Sysroot files that match the glob `source`; `target`, if any, renames the single match."""

    toml_shorthand: ClassVar[str] = "source"

    source: str
    target: Target | None = None


@frozen
class Install:
    """What the module needs in the image, by the names that the sysroot has for it.

    `plugins` and `files` are globs over the sysroot, in which `{libdir}` stands for each library
    directory; plugins found there are those for the machine that the image's programs are for.
    `scripts` lie in the module's folder and are put beside those of [run], for programs other than
    the spine to run.
    """

    binaries: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    kmods: tuple[str, ...] = ()
    optional_kmods: tuple[str, ...] = ()
    firmware: tuple[str, ...] = ()
    plugins: tuple[str, ...] = ()
    files: tuple[FileWish, ...] = ()
    dirs: tuple[Target, ...] = ()
    scripts: tuple[FileName, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All that must be in the sysroot, as it is written in the table."""
        files = tuple(wish.source for wish in self.files)
        return (
            *self.binaries, *self.libraries, *self.kmods, *self.firmware, *self.plugins, *files,
        )  # fmt: skip


@frozen
class Run:
    """A script of the module's folder, run at a boot-time point for at most `timeout` seconds.

    0 is for a script that may wait for ever and says so on the console.
    """

    toml_shorthand: ClassVar[str] = "script"

    point: str = field(metadata=TABLE_KEY)
    script: FileName
    timeout: Annotated[int, _timeout] = RUN_TIMEOUT


@frozen
class Survive:
    """Processes that outlive the container and the shutdown's kill, by their `comm` names."""

    processes: tuple[str, ...] = ()


@frozen
class Packages:
    """The packages that supply the module's files, per family of distributions."""

    debian: tuple[str, ...] = ()
    rhel: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        """The packages of every family."""
        return (*self.debian, *self.rhel)


@frozen
class Limits:
    """What clusters the module can't serve; `reason` is said to the user.

    `nodes` is the most that may share the root, unless the module's bool option `unless` is
    set (or has a value: "OPTION=VALUE"), or a module that offers `beside` is in the image;
    `node_id` the highest number of a node, `cluster_name` a regular expression that the
    cluster's name must match. With `address` every node needs an IPv4 address of its own.
    """

    nodes: int | None = None
    unless: str = ""
    beside: str = ""
    node_id: int | None = None
    cluster_name: str = ""
    address: bool = False
    reason: str = ""

    def __post_init__(self) -> None:
        limited = (
            self.nodes,
            self.unless,
            self.beside,
            self.node_id,
            self.cluster_name,
            self.address,
        )
        if any(limited) and not self.reason:
            raise ValueError("a limit needs its reason")
        try:
            re.compile(self.cluster_name)
        except re.error as error:
            raise ValueError(f"cluster_name is no regular expression: {error}") from error


@frozen
class Module:
    """A boot module.

    `requires`, `after` and `conflicts` name modules or capabilities: what must be in the image
    and run before, what runs before if it is in the image at all, and what can't be in the
    same image, with the reason. `missing` holds, for what [install] names, the way out when the
    sysroot lacks it, where installing the packages is not all that there is to say.
    """

    folder: HostPath = field(metadata=GIVEN)
    name: Name
    kind: Kind
    summary: str
    requires: tuple[Name, ...] = ()
    after: tuple[Name, ...] = ()
    provides: tuple[Name, ...] = ()
    conflicts: Mapping[str, str] = field(default_factory=dict)
    packages: Packages = Packages()
    options: Mapping[str, Option] = field(default_factory=dict)
    install: Install = Install()
    missing: Mapping[str, str] = field(default_factory=dict)
    templates: tuple[Template, ...] = field(default=(), metadata=toml_key("template"))
    run: Mapping[str, Run] = field(default_factory=dict)
    survive: Survive = Survive()
    limits: Limits = Limits()

    def __post_init__(self) -> None:
        lifting = self.limits.unless.partition("=")[0]
        if lifting and lifting not in self.options:
            raise ValueError(f"limits.unless: there is no option {lifting!r}")
        if unknown := [name for name in self.missing if name not in self.install.names]:
            raise ValueError(f"missing: [install] names no {unknown[0]!r}")
        if self.name in self.requires:
            raise ValueError("a module can't require itself")
        if self.name in {"name", "node", "block", "fs", "container"}:
            raise ValueError(f"{self.name!r} means something else in a cluster file")

    @property
    def origin(self) -> Origin:
        """Where the module is declared."""
        return Origin(str(self.folder / "module.toml"))

    @property
    def selectable(self) -> bool:
        """Whether a cluster file's [block], [fs] or [container] may name it as its `type`.

        Of the kind `container` that is what takes the root over; the others serve it.
        """
        if self.kind == "container":
            return "container" in self.provides
        return self.kind in {"block", "fs"}

    @property
    def table(self) -> str:
        """The table of a cluster file that holds the module's options."""
        return self.kind if self.selectable else self.name

    def template_path(self, template: Template) -> HostPath:
        """The file that `template` is rendered from."""
        return self.folder / template.source

    def offers(self, wish: str) -> bool:
        """Whether the module is, or provides, what `wish` names."""
        return wish == self.name or wish in self.provides


def boot_rank(module: Module) -> tuple[int, str]:
    """Where `module` comes among modules that don't depend on each other."""
    return kind_rank(module.kind, module.name)


def kind_rank(kind: str, name: str) -> tuple[int, str]:
    """The rank of the module `name` of `kind`; one of an unknown kind comes last."""
    return KINDS.index(kind) if kind in KINDS else len(KINDS), name
