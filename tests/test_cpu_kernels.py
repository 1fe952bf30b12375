"""vLLM's C++ kernels of RMSNorm give what its PyTorch code gives."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("size", [64, 576])
@pytest.mark.parametrize("kind", ["bfloat16", "float32"])
def test_the_kernels_equal_vllms_own_pytorch_code(size: int, kind: str) -> None:
    import torch
    from lengthen.common.engine.cpu_kernels import NAME
    from vllm import ir

    dtype = getattr(torch, kind)
    x, residual, weight = (torch.randn(shape).to(dtype) for shape in [(7, size), (7, size), (size,)])
    close = {"rtol": 2e-2, "atol": 2e-2} if kind == "bfloat16" else {"rtol": 1e-5, "atol": 1e-5}
    norm, add = ir.ops.rms_norm.impls, ir.ops.fused_add_rms_norm.impls
    assert norm[NAME].supported and norm[NAME].supports_args(x, weight, 1e-5, None)
    torch.testing.assert_close(norm[NAME].impl_fn(x, weight, 1e-5), norm["native"].impl_fn(x, weight, 1e-5), **close)
    for ours, theirs in zip(
        add[NAME].impl_fn(x.clone(), residual.clone(), weight, 1e-5),
        add["native"].impl_fn(x.clone(), residual.clone(), weight, 1e-5),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, **close)


def test_other_sizes_and_kinds_are_left_to_vllm() -> None:
    import torch
    from lengthen.common.engine.cpu_kernels import NAME
    from vllm import ir

    supports = ir.ops.rms_norm.impls[NAME].supports_args
    x, weight = torch.randn(4, 64), torch.randn(64)
    assert supports(x, weight, 1e-5, None)
    assert not supports(x, None, 1e-5, None)
    assert not supports(x, weight, 1e-5, 32)
    assert not supports(x, weight.bfloat16(), 1e-5, None)
    assert not supports(x.t().contiguous().t(), weight, 1e-5, None)
    assert not supports(torch.randn(4, 60), torch.randn(60), 1e-5, None)
