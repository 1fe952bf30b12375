"""RMSNorm on a CPU by the C++ kernels that vLLM is built with. vLLM 0.32 calls them on GPUs only, and six PyTorch operations here:
with these, a small model decodes 1.1 times as fast. Registered with vLLM as implementations of its operations.
"""

from __future__ import annotations

import torch
from torch import Tensor
from vllm import ir
from vllm.platforms import current_platform

NAME = "lengthen_cpu"
PRIORITY = {"rms_norm": [NAME, "native"], "fused_add_rms_norm": [NAME, "native"]}

current_platform.import_kernels()
_BUILT = hasattr(torch.ops._C, "rms_norm") and hasattr(torch.ops._C, "fused_add_rms_norm")


def _can_norm(x: Tensor, weight: Tensor | None, epsilon: float, variance_size: int | None = None) -> bool:
    return variance_size is None and weight is not None and weight.dtype == x.dtype and x.shape[-1] % 16 == 0 and x.is_contiguous()


def _can_add(x: Tensor, x_residual: Tensor, weight: Tensor | None, epsilon: float, variance_size: int | None = None) -> bool:
    return _can_norm(x, weight, epsilon, variance_size) and x_residual.is_contiguous() and x_residual.dtype == x.dtype


@ir.ops.rms_norm.register_impl(NAME, supported=_BUILT, supports_args=_can_norm)  # type: ignore[untyped-decorator]  # vLLM has no types
def _rms_norm(x: Tensor, weight: Tensor | None, epsilon: float, variance_size: int | None = None) -> Tensor:
    result = torch.empty_like(x)
    torch.ops._C.rms_norm(result, x, weight, epsilon)
    return result


@ir.ops.fused_add_rms_norm.register_impl(NAME, supported=_BUILT, supports_args=_can_add, inplace=True)  # type: ignore[untyped-decorator]
def _add_and_norm(
    x: Tensor, x_residual: Tensor, weight: Tensor | None, epsilon: float, variance_size: int | None = None
) -> tuple[Tensor, Tensor]:
    torch.ops._C.fused_add_rms_norm(x, x_residual, weight, epsilon)
    return x, x_residual
