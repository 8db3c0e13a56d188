"""Compiled kernels without the compiler: numba makes machine code once, LLVM's loader loads it.

Importing numba and letting it load its own cache costs more than a second, longer than most pairs
take to match. So a kernel's object code is kept in a file of its own; a later process hands that
file to LLVM's loader (llvmlite, 60 ms) and calls the function by its address, and numba is never
imported.

For that the object code must stand alone: no allocation, no exception, no Python object. Kernels
are compiled without numba's runtime and get every buffer they write from outside.
"""

import contextlib
import ctypes
import hashlib
import importlib
import inspect
import json
import re
import threading
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from fathom.classical.cache import cache_folder
from fathom.core.arrays import Array

Notify = Callable[[str, int, int], None]
"""Called as notify(kernel name, index from 0, number of kernels) before a kernel is compiled."""
Layout = list[Any]
"""What a kernel takes: "int", the element type of a flat array, or a list of these for a tuple."""

_MAGIC = b"fathom kernel 1\n"
_lock = threading.RLock()


class Kernel:
    """A compiled function, by the module that holds its source and its name there.

    The module, and with it numba, is imported only where no object code of it is found. A cache
    that is damaged or cannot be written costs the time of compiling again, nothing else.
    """

    def __init__(self, module: str, name: str) -> None:
        self.module = module
        self.name = name
        self._code: Native | None = None

    def __call__(self, *arguments: Any) -> None:
        self.load()(*arguments)

    def bound(self, *arguments: Any) -> Callable[..., None]:
        """The function with its first arguments fixed; they are checked and unpacked only once."""
        return self.load().bound(*arguments)

    def load(self, on_compile: Callable[[], None] | None = None) -> "Native":
        """The machine code; `on_compile` is called only if it has to be compiled now."""
        if self._code is None:
            with _lock:
                if self._code is None:
                    self._code = self._cached() or self._compiled(on_compile)
        return self._code

    def forget(self) -> None:
        """Drops what this process holds; the next call looks for object code again."""
        self._code = None

    @property
    def file(self) -> Path | None:
        """Where the object code is kept; None where nothing can be kept."""
        folder = cache_folder()
        return None if folder is None else folder / f"{self.name}-{_machine()}.kernel"

    def _cached(self) -> "Native | None":
        file = self.file
        if file is None or not file.is_file():
            return None
        # Whatever a damaged file throws, compiling anew is the answer.
        with contextlib.suppress(Exception):
            return Native(*_unpacked(file.read_bytes()))
        return None

    def _compiled(self, on_compile: Callable[[], None] | None) -> "Native":
        if on_compile is not None:
            on_compile()
        source: Source = getattr(importlib.import_module(self.module), self.name)
        parts = source.object_code()
        if self.file is not None:
            # A full or read-only disk must not stop a match: it is only a cache.
            with contextlib.suppress(Exception):
                _write(self.file, _packed(*parts))
        return Native(*parts)


class Source:
    """The Python source of a kernel with its numba signature, as `kernel` decorates it."""

    def __init__(self, function: Callable[..., None], signature: Any) -> None:
        # The tests' type checker wraps every function; numba needs the bare one.
        self.function = inspect.unwrap(function)
        self.signature = signature

    def object_code(self) -> tuple[str, Layout, bytes]:
        """Symbol, parameters and machine code of the function, compiled by numba now.

        Raises `RuntimeError` if the code does not stand alone: a fault of the kernel's author.
        """
        numba: Any = importlib.import_module("numba")
        compiled = numba.njit(
            nogil=True,
            error_model="numpy",
            no_cpython_wrapper=True,
            no_cfunc_wrapper=True,
            _nrt=False,
        )(self.function)
        compiled.compile(self.signature)
        (result,) = compiled.overloads.values()
        foreign = _foreign(result.library.get_llvm_str())
        if foreign:
            raise RuntimeError(f"kernel {self.function.__name__} calls {', '.join(foreign)}")
        data = result.library.serialize_using_object_code()[2][0]
        return result.fndesc.llvm_func_name, [_part(t) for t in result.signature.args], bytes(data)


def kernel(signature: Any) -> Callable[[Callable[..., None]], Source]:
    """Decorator: the function is the source of a kernel of that numba signature."""
    return lambda function: Source(function, signature)


class Native:
    """Machine code in this process, called with arrays, tuples of them, and whole numbers."""

    def __init__(self, symbol: str, layout: Layout, code: bytes) -> None:
        self._engine, address = _linked(symbol, code)
        self._layout = layout
        # numba's calling convention: where a result goes, where an exception goes, the words.
        words = sum(map(_width, layout))
        kinds = [ctypes.c_void_p] * 2 + [ctypes.c_int64] * words
        self._function = ctypes.CFUNCTYPE(ctypes.c_int32, *kinds)(address)
        self._nowhere = (ctypes.c_int64 * 16)()

    def __call__(self, *arguments: Any) -> None:
        self.bound()(*arguments)

    def bound(self, *arguments: Any) -> Callable[..., None]:
        """The function with its first arguments fixed."""
        head: list[int] = []
        _unpack(arguments, self._layout[: len(arguments)], head)
        rest = self._layout[len(arguments) :]
        nowhere = ctypes.addressof(self._nowhere)

        def call(*others: Any) -> None:
            words = head.copy()
            _unpack(others, rest, words)
            # ctypes lets the other Python threads run while the kernel does.
            status = self._function(nowhere, nowhere + 64, *words)
            if status != 0:
                raise RuntimeError(f"a kernel ended with status {status}")

        # The words are bare addresses: the arrays behind them must live as long as the call.
        call.arguments = arguments  # type: ignore[attr-defined]
        return call


def prepare_kernels(kernels: Iterable[Kernel], notify: Notify | None = None) -> None:
    """Loads each kernel, compiling it where its object code is not there.

    notify: told the name, index and number of kernels before each compilation; never called
    when everything was compiled before.
    """
    listed = list(kernels)
    for index, item in enumerate(listed):

        def announce(name: str = item.name, index: int = index) -> None:
            if notify is not None:
                notify(name, index, len(listed))

        item.load(announce)


def have_compiled(kernels: Iterable[Kernel]) -> bool:
    """True if object code of every kernel lies in the cache; found without importing numba."""
    return all(item.file is not None and item.file.is_file() for item in kernels)


@lru_cache(maxsize=1)
def _machine() -> str:
    """A digest of the processor: object code of one may not run on another."""
    binding = _llvm()
    features = binding.get_host_cpu_features().flatten()
    name = f"{binding.get_default_triple()} {binding.get_host_cpu_name()} {features}"
    return hashlib.sha256(name.encode()).hexdigest()[:12]


@lru_cache(maxsize=1)
def _llvm() -> Any:
    binding: Any = importlib.import_module("llvmlite.binding")
    # llvmlite from 0.45 on needs no general initialisation and says so by raising.
    with contextlib.suppress(RuntimeError):
        binding.initialize()
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    return binding


def _linked(symbol: str, code: bytes) -> tuple[Any, int]:
    """A loader that holds the code, and the address of the symbol in it."""
    binding = _llvm()
    machine = binding.Target.from_default_triple().create_target_machine(jit=True)
    engine = binding.create_mcjit_compiler(binding.parse_assembly(""), machine)
    engine.add_object_file(binding.ObjectFileRef.from_data(code))
    engine.finalize_object()
    address: int = engine.get_function_address(symbol)
    if not address:
        raise RuntimeError(f"the object code has no symbol {symbol}")
    return engine, address


def _packed(symbol: str, layout: Layout, code: bytes) -> bytes:
    digest = hashlib.sha256(code).hexdigest()
    header = {"symbol": symbol, "layout": layout, "sha256": digest}
    return _MAGIC + json.dumps(header).encode() + b"\n" + code


def _unpacked(data: bytes) -> tuple[str, Layout, bytes]:
    if not data.startswith(_MAGIC):
        raise ValueError("is no kernel")
    head, _, code = data[len(_MAGIC) :].partition(b"\n")
    header = json.loads(head)
    if hashlib.sha256(code).hexdigest() != header["sha256"]:
        raise ValueError("is damaged")
    return header["symbol"], header["layout"], code


def _write(file: Path, data: bytes) -> None:
    from fathom.io.atomic import write_bytes

    write_bytes(file, data)


def _foreign(assembly: str) -> list[str]:
    """Functions that the code calls but does not hold, intrinsics of LLVM and libc's aside."""
    called = re.findall(r'^declare .*?@"?([\w.$]+)', assembly, re.MULTILINE)
    known = ("memset", "memcpy", "memmove")
    return [name for name in called if not name.startswith("llvm.") and name not in known]


def _part(kind: Any) -> Any:
    """One parameter's layout, of its numba type."""
    types: Any = importlib.import_module("numba.core.types")
    if isinstance(kind, types.BaseTuple):
        return [_part(inner) for inner in kind]
    if isinstance(kind, types.Array):
        if kind.ndim != 1 or kind.layout != "C":
            raise RuntimeError(f"a kernel takes flat arrays, not {kind}")
        return str(kind.dtype)
    return "int"


def _width(part: Any) -> int:
    if isinstance(part, list):
        return sum(map(_width, part))
    return 1 if part == "int" else 7


def _unpack(values: tuple[Any, ...], layout: Layout, words: list[int]) -> None:
    """Appends what numba's calling convention makes of `values`, checking each.

    A flat array is seven words: its memory's owner, its parent (neither is needed here), items,
    item size, address, shape, stride.

    Raises `TypeError` for an argument that the kernel was not compiled for: machine code would
    read or write out of bounds.
    """
    if len(values) != len(layout):
        raise TypeError(f"{len(values)} arguments for {len(layout)} parameters")
    for value, part in zip(values, layout, strict=True):
        if isinstance(part, list):
            _unpack(value, part, words)
        elif part == "int":
            words.append(int(value))
        else:
            words += _array_words(value, part)


def _array_words(array: Array, dtype: str) -> tuple[int, ...]:
    fits = isinstance(array, np.ndarray) and array.ndim == 1 and array.flags.c_contiguous
    if not fits or array.dtype != dtype:
        raise TypeError(f"{getattr(array, 'dtype', type(array))} for a flat array of {dtype}")
    address = array.__array_interface__["data"][0]
    return 0, 0, array.size, array.itemsize, address, array.size, array.itemsize
