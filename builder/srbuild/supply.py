"""What is missing in the sysroot, in words: who wanted it, and what would bring it there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from srbuild.bootmodule import Module
from srbuild.closure.closer import Missing
from srbuild.errors import MissingInputError, Origin
from srbuild.host.packages import load_packages
from srbuild.host.sysroot import Sysroot
from srbuild.kernels.kmods import Missing as MissingKmod
from srbuild.manifest import Reason
from srbuild.paths import SysrootPath

# Where the families of distributions keep their package databases, or say their name: images
# often lack the former.
_DATABASES = {
    "debian": ("/var/lib/dpkg/status", "/etc/debian_version"),
    "rhel": ("/usr/lib/sysimage/rpm", "/var/lib/rpm", "/etc/redhat-release"),
}
_BUSYBOX = (
    "the RHEL family has no busybox: put a static one of the same architecture at "
    "/usr/sbin/busybox of the sysroot (Debian's busybox-static, Fedora's busybox)"
)


class Supply:
    """Finds packages for files that `sysroot` lacks; reads nothing before it is asked."""

    def __init__(self, sysroot: Sysroot, modules: Sequence[Module]) -> None:
        self._sysroot = sysroot
        self._packages = load_packages(sysroot)
        self._modules = {f"module {module.name}": module for module in modules}

    def errors(self, missing: Iterable[Missing]) -> list[MissingInputError]:
        """One error for each name that the closure misses, whoever wanted it."""
        by_name: dict[str, list[Missing]] = {}
        for one in missing:
            by_name.setdefault(one.name, []).append(one)
        return [self._error(name, wishes) for name, wishes in by_name.items()]

    def _error(self, name: str, wishes: Sequence[Missing]) -> MissingInputError:
        first = wishes[0]
        problem = first.problem or f"is not in {', '.join(first.searched) or 'the sysroot'}"
        wanted = "\n".join(f"  wanted by {tell(missing.chain)}" for missing in wishes)
        origins = [missing.chain[-1].by for missing in wishes]
        hint = self.hint(name, [by for by in origins if isinstance(by, Origin)])
        return MissingInputError(f"{name} {problem}\n{wanted}", hint)

    def hint(self, name: str, wishes: Iterable[Origin]) -> str:
        """Say what to install so that `name`, which `wishes` ask for, is there.

        The sysroot's own database knows a package whose file was removed; otherwise the boot
        modules name theirs, and what these packages depend on comes with them.
        """
        wishes = list(wishes)
        if told := self._told(name, wishes):
            return told
        owners = self._packages.shipping(name.rpartition("/")[2])
        if owners:
            names = dict.fromkeys(package.name for package in owners)
            return f"install {' or '.join(names)} in the sysroot again"
        if name.rpartition("/")[2] == "busybox" and self._family() == ["rhel"]:
            return _BUSYBOX
        modules = [self._modules[o.source] for o in wishes if o.source in self._modules]
        names = dict.fromkeys(name for module in modules for name in self._named_by(module))
        if names:
            return f"install {', '.join(names)} in the sysroot, with all that it depends on"
        if others := dict.fromkeys(name for module in modules for name in module.packages.all):
            return f"other distributions have it in {', '.join(others)}"
        return "install the package that has it in the sysroot"

    def kmod_hint(self, missing: MissingKmod) -> str:
        """What to do about a kmod that a kernel lacks; empty when nothing is known of it."""
        by = missing.reason.by
        if isinstance(by, Origin) and (told := self._told(missing.name, [by])):
            return told
        if missing.hint:
            return missing.hint
        if self._family() == ["rhel"]:
            return "install kernel-modules and kernel-modules-extra in the sysroot, then run depmod"
        return ""

    def _told(self, name: str, wishes: Iterable[Origin]) -> str:
        """What the boot modules that wish for `name` themselves say for the case of its lack."""
        modules = [self._modules[o.source] for o in wishes if o.source in self._modules]
        return next((m.missing[name] for m in modules if name in m.missing), "")

    def _named_by(self, module: Module) -> Iterable[str]:
        """The packages of `module`, for the sysroot's family of distributions if that is known."""
        found = {"debian": module.packages.debian, "rhel": module.packages.rhel}
        family = self._family()
        return (name for key in found if key in family for name in found[key])

    def _family(self) -> Sequence[str]:
        known = [
            family
            for family, places in _DATABASES.items()
            if any(self._sysroot.exists(SysrootPath(place)) for place in places)
        ]
        return known or list(_DATABASES)


def tell(chain: Iterable[Reason]) -> str:
    """A chain of reasons in words, from the wish upwards."""
    return " ← ".join(f"{reason.by} ({reason.how})" for reason in chain)
