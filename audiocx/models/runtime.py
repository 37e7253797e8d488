"""Running networks on NumPy arrays: by onnxruntime, which is the default on processors, or by PyTorch."""

from __future__ import annotations

import ctypes
import json
import os
import re
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError

if TYPE_CHECKING:
    import torch

__all__ = [
    "INSTALL_TORCH",
    "OnnxNetwork",
    "Precision",
    "RunnableNetwork",
    "Runtime",
    "TorchNetwork",
    "check_precision",
    "choose_device",
    "choose_runtime",
    "core_count",
    "thread_count",
]

Precision = Literal["float32", "bfloat16"]
Runtime = Literal["auto", "onnx", "torch"]

INSTALL_TORCH = "run pip install 'audiocx[torch]'"
# Names of devices that PyTorch may know; only PyTorch itself can tell which are here.
_DEVICE = re.compile(r"auto|(cpu|cuda|mps|xpu|hpu|npu|mtia|xla|privateuseone)(:\d+)?")
# The oldest version that is known to run the files that are written here.
_OLDEST_ONNXRUNTIME = (1, 20)


class RunnableNetwork(Protocol):
    """A network on arrays.

    Attributes:
        config: Its configuration.
    """

    config: Any

    def run(self, stage: str, inputs: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Run a stage of the network.

        Args:
            stage: The method of the network, such as "probabilities".
            inputs: Its argument.

        Returns:
            Its results.
        """
        ...


class OnnxNetwork:
    """A network in onnxruntime; in a forked process it starts anew, for threads do not survive a fork.

    Args:
        config: Its configuration.
        model: Content of its ONNX file.
        name: The checkpoint's name, for messages.
        threads: Number of threads; None for :func:`thread_count`.

    Attributes:
        input_shapes: Shape of each input by name; dynamic sizes are strings.

    Raises:
        ConfigError: onnxruntime is missing, too old, or cannot load the file.
    """

    def __init__(self, config: Any, model: bytes, name: str, threads: int | None = None) -> None:
        self.config, self.name, self._model, self._threads = config, name, model, threads
        self._start()

    def __reduce__(self) -> tuple[type[OnnxNetwork], tuple[Any, ...]]:
        """Pickle what it is made of, for the session cannot be: another process starts its own."""
        return OnnxNetwork, (self.config, self._model, self.name, self._threads)

    def __call__(self, *inputs: NDArray[Any]) -> list[NDArray[np.float32]]:
        """Run the network on arrays, float32 each."""
        if self._process != os.getpid():
            self._start()
        outputs: list[NDArray[np.float32]] = self._session.run(None, dict(zip(self.input_shapes, inputs, strict=True)))
        return outputs

    def run(self, stage: str, inputs: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Run a stage of the network; see :class:`RunnableNetwork`."""
        if stage not in self._stages:
            return self(inputs)
        if self._process != os.getpid():
            self._start()
        own, outputs = self._stages[stage]
        # onnxruntime runs the whole graph: the other stages get the least input that they take.
        results: list[NDArray[np.float32]] = self._session.run(outputs, {**self._least_inputs, own: inputs})
        return results

    def _start(self) -> None:
        onnxruntime = _import_onnxruntime()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = self._threads or thread_count(), 3
        # The session that a forked process inherits must not be ended there: it would wait for its threads for ever.
        self._inherited = getattr(self, "_session", None)
        try:
            self._session = onnxruntime.InferenceSession(self._model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own have no common class
            reason = str(error).splitlines()[0]
            if "INVALID_PROTOBUF" in reason:
                raise ConfigError(
                    f"The ONNX form of {self.name} is damaged; fetch it again, make it anew with audiocx export "
                    "--in-place, or choose the runtime torch."
                ) from None
            raise ConfigError(
                f"onnxruntime {onnxruntime.__version__} cannot run {self.name} ({reason}); update onnxruntime, or "
                "choose the runtime torch."
            ) from None
        self.input_shapes: dict[str, list[int | str]] = {each.name: each.shape for each in self._session.get_inputs()}
        metadata = self._session.get_modelmeta().custom_metadata_map
        self._stages = json.loads(metadata.get("stages", "{}"))
        least = json.loads(metadata.get("least_shapes", "{}"))
        self._least_inputs = {name: np.zeros(shape, np.float32) for name, shape in least.items()}
        self._process = os.getpid()


class TorchNetwork:
    """A network in PyTorch; in a forked process it has one thread, for the others do not survive a fork.

    Args:
        network: In evaluation mode; moved to the device.
        device: Where to run; None for where it is.
    """

    def __init__(self, network: Any, device: torch.device | str | None = None) -> None:
        self.config = network.config
        self.network = network if device is None else network.to(device)
        self._process = os.getpid()

    def run(self, stage: str, inputs: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Run a stage of the network; see :class:`RunnableNetwork`."""
        import torch

        self._process = after_fork(self._process)
        device = next(self.network.parameters()).device
        with torch.inference_mode():
            # Copied if read-only, of which PyTorch warns.
            tensor = torch.from_numpy(np.require(inputs, requirements=["W"])).to(device)
            outputs = getattr(self.network, stage)(tensor)
        return [each.float().cpu().numpy() for each in ([outputs] if isinstance(outputs, torch.Tensor) else outputs)]


def after_fork(process: int) -> int:
    """Limit PyTorch to one thread if this is another process than before: its threads do not survive a fork.

    Args:
        process: The process that ran a network last.

    Returns:
        This process.
    """
    import torch

    if process != os.getpid():
        torch.set_num_threads(1)
    return os.getpid()


def core_count() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def thread_count() -> int:
    """Return the number of threads of a network: one for each usable core, or ``OMP_NUM_THREADS`` if that is less."""
    wanted = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    return min(int(wanted), core_count()) if wanted.isdecimal() and int(wanted) > 0 else core_count()


def check_precision(precision: str) -> None:
    """Refuse an unknown precision.

    Args:
        precision: Its name.

    Raises:
        ConfigError: It is none of :data:`Precision`.
    """
    if precision not in get_args(Precision):
        raise ConfigError(f"There is no precision {precision!r}; choose {' or '.join(get_args(Precision))}.")


def choose_runtime(runtime: str, device: str, precision: str, has_onnx: bool, name: str) -> Literal["onnx", "torch"]:
    """Choose what runs a network.

    Args:
        runtime: "auto" (PyTorch on a GPU, else onnxruntime for checkpoints that have an ONNX form), "onnx" or "torch".
        device: "auto" or a device's name.
        precision: "float32" or "bfloat16"; only PyTorch runs the latter.
        has_onnx: Whether the checkpoint has an ONNX form.
        name: The checkpoint's name, for messages.

    Returns:
        The choice; whether PyTorch is installed is checked.

    Raises:
        ConfigError: The settings contradict each other, or what they need is not installed.
    """
    if runtime not in get_args(Runtime):
        raise ConfigError(f"There is no runtime {runtime!r}; choose {', '.join(get_args(Runtime))}.")
    check_precision(precision)
    if not _DEVICE.fullmatch(device):
        raise ConfigError(f"There is no device {device!r}; choose auto, cpu, cuda, a number as in cuda:1, or mps.")
    if runtime == "onnx":
        if not has_onnx:
            raise ConfigError(
                f"{name} has no ONNX form; add one with audiocx export --in-place, or choose the runtime torch."
            )
        if device not in ("auto", "cpu") or precision != "float32":
            setting = f"the device {device}" if device not in ("auto", "cpu") else f"the precision {precision}"
            raise ConfigError(
                f"The runtime onnx cannot use {setting}; it runs on the processor in float32; choose the runtime torch."
            )
        return "onnx"
    has_torch = find_spec("torch") is not None
    wants_torch = device not in ("auto", "cpu") or precision != "float32" or runtime == "torch"
    # Without onnxruntime, PyTorch serves; without both, the sentence is about onnxruntime.
    runs_onnx = has_onnx and (find_spec("onnxruntime") is not None or not has_torch)
    if runs_onnx and not wants_torch and not (has_torch and device == "auto" and _finds_gpu()):
        return "onnx"
    if not has_torch:
        if runtime == "torch":
            reason = "The runtime torch"
        elif wants_torch:
            reason = f"The device {device}" if device not in ("auto", "cpu") else f"The precision {precision}"
        else:
            reason = f"{name} has no ONNX form and"
        raise ConfigError(f"{reason} needs PyTorch, which is not installed; {INSTALL_TORCH}.")
    return "torch"


def choose_device(name: str) -> torch.device:
    """Choose a device of PyTorch and check that it works.

    Args:
        name: "auto" (a CUDA device if there is one, else the CPU) or a name such as "cpu", "cuda:1", "mps".

    Returns:
        The device.

    Raises:
        ConfigError: The device is not available.
    """
    import torch

    try:
        device = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)
        torch.zeros(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # torch raises all three for absent devices
        raise ConfigError(f"The device {name!r} is not available here; choose auto or cpu.") from error
    return device


def _finds_gpu() -> bool:
    """Return whether PyTorch has a CUDA device; it is only loaded, for seconds, where there is a driver."""
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    import torch

    return torch.cuda.is_available()


def _import_onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        if isinstance(error.__cause__, KeyboardInterrupt):  # Ctrl-C while its native part starts
            raise error.__cause__ from None
        if isinstance(error, ModuleNotFoundError) and error.name == "onnxruntime":
            state, options = "is not installed", ""
        else:
            state, options = f"is damaged ({error})", "--force-reinstall --no-deps "
        raise ConfigError(
            f"onnxruntime {state}; run pip install {options}onnxruntime, or choose the runtime torch."
        ) from None
    version = tuple(int(part) for part in onnxruntime.__version__.split(".")[:2])
    if version < _OLDEST_ONNXRUNTIME:
        oldest = ".".join(map(str, _OLDEST_ONNXRUNTIME))
        raise ConfigError(
            f"onnxruntime {onnxruntime.__version__} is too old; run pip install --upgrade 'onnxruntime>={oldest}'."
        )
    return onnxruntime
