"""One way to compile kernels with numba, cached on disk where that is possible."""

from collections.abc import Callable
from types import FunctionType
from typing import Any, NamedTuple

from numba.extending import intrinsic

__all__ = ["Pair", "available_threads", "borrowed", "kernel", "serial_and_parallel"]


class Pair(NamedTuple):
    """The same kernel for one thread and for several."""

    serial: Any
    parallel: Any

    def on(self, threads: int) -> Any:
        """The one to use on that many threads."""
        return self.parallel if threads > 1 else self.serial


def available_threads() -> int:
    """Torch's number of threads, or fewer if numba was started with fewer (NUMBA_NUM_THREADS)."""
    import numba
    import torch

    most: int = numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]
    return min(torch.get_num_threads(), most)


def kernel(function: Callable, *, parallel: bool = False) -> Any:
    """Machine code that releases the GIL and follows IEEE arithmetic.

    Only contraction (fused multiply-add) is allowed beyond that, so that NaN is still seen.
    The machine code is cached beside the source or in the user's cache folder; where neither can
    be written (a read-only installation without a home) it is made anew in each process.
    """
    import numba

    options: dict[str, Any] = {
        "fastmath": {"contract", "nsz"},
        "error_model": "numpy",
        "nogil": True,
    }
    try:
        return numba.njit(parallel=parallel, cache=True, **options)(function)
    except RuntimeError:  # numba: no locator available for the cache
        return numba.njit(parallel=parallel, **options)(function)


def serial_and_parallel(function: FunctionType) -> Pair:
    """Compile a kernel whose outer loop is a `prange` for one thread and for several.

    numba's cache tells functions apart by their qualified names, hence a second name.
    """
    twin = FunctionType(function.__code__, function.__globals__, function.__name__)
    twin.__qualname__ = f"{function.__qualname__}_parallel"
    twin.__module__ = function.__module__
    return Pair(kernel(function), kernel(twin, parallel=True))


@intrinsic
def borrowed(_: Any, array: Any) -> Any:
    """The same array inside a kernel without a share in its ownership.

    Slices of it then cost nothing: numba otherwise counts references atomically, once for each
    slice, which takes longer than a row of 64 numbers. Whoever calls the kernel keeps the array.
    """

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        view = context.make_array(signature.return_type)(context, builder, value=values[0])
        view.meminfo = view.meminfo.type(None)
        view.parent = view.parent.type(None)
        return view._getvalue()

    return array(array), generate
