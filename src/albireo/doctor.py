"""Whether an installation is whole: versions, devices, what is kept between sessions, data, optional extras."""

import os
import platform
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

# Of what is needed, the packages that numbers depend on most.
_TOLD = ("albireo", "jax", "jaxlib", "arviz", "numpy", "scipy", "xarray", "astropy", "blackjax", "dynesty")
_MIB = 2**20


def examine() -> dict[str, Any]:
    """What there is, as plain JSON values; `problems` names what is needed and missing, a sentence each."""
    needed, extras = _requirements()
    missing = [str(requirement) for requirement in needed if not _is_met(requirement)]
    problems = [f"{name} is not installed; `pip install '{name}'`." for name in missing]
    bundled, absent = _bundled()
    problems += [f"{name} is missing from the package; install albireo again." for name in absent]
    report = {
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in _TOLD},
        "devices": [] if missing else _devices(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "cache": {} if missing else _cache(),
        "bundled": bundled,
        "data": _data(),
        "extras": {name: [str(one) for one in extras[name] if not _is_met(one)] for name in sorted(extras)},
    }
    return report | {"problems": problems}


def lines(report: dict[str, Any]) -> list[str]:
    """The report as text."""
    cache, data = report["cache"], report["data"]
    told = [f"{name:12}{found or 'not installed'}" for name, found in report["versions"].items()]
    told.append(f"{'devices':12}{', '.join(report['devices']) or 'unknown'}; {report['cores']} cores")
    if cache.get("folder"):
        size = f"{cache['files']} files, {cache['bytes'] / _MIB:.0f} MiB"
        told.append(f"{'cache':12}{cache['folder']}: {size} of compiled code and of results")
    elif cache:
        told.append(
            f"{'cache':12}off: compiled code and priors are made anew in every session (JAX_ENABLE_COMPILATION_CACHE)"
        )
    for name, found in report["bundled"].items():
        told.append(f"{name:12}{', '.join(found) or 'none'}")
    folder = data["ALBIREO_DATA"]
    found = "not set; only training and benchmarks want it" if folder is None else folder
    told.append(f"{'data':12}ALBIREO_DATA: {found}{'' if data['found'] or folder is None else ' (no such folder)'}")
    maps = ", ".join(data["dust_maps"]) or "none downloaded"
    told.append(f"{'dust maps':12}of the package dustmaps: {maps if data['dustmaps'] else 'it is not installed'}")
    for name, missing in report["extras"].items():
        advice = f"without {', '.join(missing)}; `pip install 'albireo[{name}]'`"
        told.append(f"{f'[{name}]':12}{advice if missing else 'complete'}")
    return told


def _requirements() -> tuple[list[Requirement], dict[str, list[Requirement]]]:
    """What this version needs under this Python, and what each of its extras does; `dev` is for developers."""
    needed: list[Requirement] = []
    extras: dict[str, list[Requirement]] = {}
    for requirement in map(Requirement, requires("albireo") or ()):
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            needed.append(requirement)
            continue
        for name in set(metadata("albireo").get_all("Provides-Extra") or ()) - {"dev"}:
            if requirement.marker.evaluate({"extra": name}):
                extras.setdefault(name, []).append(requirement)
    for one in needed + [one for wanted in extras.values() for one in wanted]:
        one.marker = None
    return needed, extras


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _is_met(requirement: Requirement) -> bool:
    found = _version(requirement.name)
    return found is not None and requirement.specifier.contains(found, prereleases=True)


def _devices() -> list[str]:
    import jax

    return [f"{device.platform} ({device.device_kind})" for device in jax.devices()]


def _cache() -> dict[str, Any]:
    from albireo.cache import cache_folder

    folder = cache_folder()
    if folder is None:
        return {"folder": None}
    files = [path for path in folder.rglob("*") if path.is_file()] if folder.is_dir() else []
    return {"folder": str(folder), "files": len(files), "bytes": sum(path.stat().st_size for path in files)}


def _bundled() -> tuple[dict[str, list[str]], list[str]]:
    """Models and priors that came with the package, and files that ought to have."""
    folder = Path(__file__).parent / "data"
    libraries = (Path(__file__).parent / "priors" / "library", Path(__file__).parents[2] / "priors")
    priors = sorted({path.stem for library in libraries for path in library.glob("*.toml")})
    models = sorted(path.stem for path in folder.glob("*.safetensors"))
    wanted = ("default.safetensors", "populations.npz", "planet_hosts.ecsv")
    absent = [name for name in wanted if not (folder / name).is_file()] + ([] if priors else ["the folder of priors"])
    return {"models": models, "priors": priors}, absent


def _data() -> dict[str, Any]:
    folder = os.environ.get("ALBIREO_DATA")
    installed = find_spec("dustmaps") is not None
    return {
        "ALBIREO_DATA": folder,
        "found": folder is not None and Path(folder).is_dir(),
        "dustmaps": installed,
        "dust_maps": _dust_maps() if installed else [],
    }


def _dust_maps() -> list[str]:
    """Maps that the package dustmaps has downloaded: a folder each."""
    from dustmaps.std_paths import data_dir  # pyright: ignore[reportMissingImports]

    return sorted({path.parent.name for path in Path(data_dir()).glob("*/*") if path.is_file()})
