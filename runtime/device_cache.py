"""What was measured of ops on a device, kept in a file per device for the next capture."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.fx

from hcb_opt.errors import InvalidInput
from hcb_opt.files import read_json, require_folder, write_json

CACHE_VARIABLE = "HCB_OPT_CACHE"


@dataclass(frozen=True)
class DeviceCache:
    """One kind of measurements on one device.

    Attributes
    ----------
    kind : str
        Of what is measured; part of the file's name.
    label : str
        Of the device, by `device_label`.
    folder : Path or None
        None takes `default_cache`.
    """

    kind: str
    label: str
    folder: Path | None = None

    @property
    def path(self) -> Path:
        """The file, which need not be there."""
        digest = hashlib.sha256(self.label.encode()).hexdigest()[:16]
        return (self.folder or default_cache()) / f"{self.kind}-{digest}.json"

    def read(self, usable: Callable[[Any], bool]) -> dict[str, Any]:
        """What is known, by the op's signature.

        Parameters
        ----------
        usable : callable
            Whether something in the file is a measurement of this kind.

        Raises
        ------
        InvalidInput
            If the file holds something else.
        """
        if not self.path.exists():
            return {}
        found = read_json(self.path).get(self.kind)
        if not isinstance(found, dict) or not all(map(usable, found.values())):
            raise InvalidInput(str(self.path), f"holds no {self.kind}", "delete it; they are then measured again")
        return found

    def write(self, known: Mapping[str, Any]) -> None:
        """Keep measurements in the place of all that was kept."""
        require_folder(self.path.parent)
        write_json(self.path, {"device": self.label, self.kind: dict(known)})


def device_label(device: torch.device) -> str:
    """What measurements depend on besides the op: the device, torch, and a CPU's threads."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}"
    return f"{_processor()}, {torch.get_num_threads()} threads, torch {torch.__version__}"


def default_cache() -> Path:
    """The folder where measurements are kept: ``$HCB_OPT_CACHE``, or ours in the user's cache folder."""
    if folder := os.environ.get(CACHE_VARIABLE):
        return Path(folder)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hcb-opt"


def signature(node: torch.fx.Node) -> str:
    """A traced op and all its arguments, with a tensor's dtype, shape and strides in its place."""
    arguments = torch.fx.node.map_arg((node.args, dict(node.kwargs)), lambda each: _shown(each.meta["val"]))
    return f"{node.target} {arguments}"


def _shown(result: Any) -> Any:
    if isinstance(result, list | tuple):
        return [_shown(each) for each in result]
    if not isinstance(result, torch.Tensor):
        return result
    return f"{result.dtype} {tuple(result.shape)} {result.stride()}"


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            name, _, model = line.partition(":")
            if name.strip() == "model name":
                return model.strip()
    return platform.processor() or "CPU"
