import pytest
import torch

from tsg_core.training.processes import launched_fabric


@pytest.mark.parametrize(
    ("has", "precision"),
    [({"amx_bf16": True, "avx512_bf16": True}, "bf16-mixed"), ({"avx512_bf16": True}, "32-true"), ({}, "32-true")],
)
def test_bfloat16_is_chosen_only_where_it_is_faster(has, precision, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has)
    fabric = launched_fabric(accelerator="cpu", devices=1, precision="auto")
    with fabric.autocast():
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype == {"bf16-mixed": torch.bfloat16, "32-true": torch.float32}[precision]
    asked = launched_fabric(accelerator="cpu", devices=1, precision="bf16-mixed")
    with asked.autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
